// LLM.int8 beside bitsandbytes' Linear8bitLt, of the same weights and inputs.

#include <gtest/gtest.h>

#include <cmath>

#include "model/kernels/llm_int8.h"
#include "tests/model/comparison.h"
#include "tests/model/linear/given.h"
#include "tests/reference.h"

namespace flux {
namespace {

const std::vector<std::string> kinds = {"normal", "few", "many", "edge", "huge", "alone"};
const std::vector<std::pair<std::string, at::ScalarType>> dtypes = {
    {"fp32", at::kFloat}, {"bf16", at::kBFloat16}, {"fp16", at::kHalf}};

/// One weight and some rows, what bitsandbytes makes of them on a device, and what we do there.
class Int8OutliersCase {
 public:
  Int8OutliersCase(std::string name, at::Device device) : name_(std::move(name)), device_(device) {}

  bool is_there() const { return file_->find(name_ + "." + device_.str() + ".y") != nullptr; }
  at::Tensor given(const std::string& what) const { return stored(*file_, name_ + "." + what); }
  at::Tensor expected(const std::string& what) const { return given(device_.str() + "." + what); }

  Activation codes_of(const std::string& what, const at::Tensor& columns) const {
    const at::Tensor rows = given(what).to(device_);
    const Activation codes{at::empty(rows.sizes(), rows.options().dtype(at::kChar)),
                           at::empty({rows.size(0)}, rows.options().dtype(at::kFloat))};
    quantize_inliers(rows, columns, codes);
    return {codes.values.cpu(), codes.scales.cpu()};
  }

  at::Tensor product() const {
    const at::Tensor weight = given("weight"), x = given("x").to(device_);
    const Weights weights(std::make_shared<Given>(weight, given("bias")),
                          {device_, x.scalar_type(), Format::int8_outliers});
    return Linear(weights, {"a"}, weight.size(0), weight.size(1))(x).cpu();
  }

  at::Tensor columns() const { return outlier_columns(given("x").to(device_)); }

  void expect_codes() const {
    const Activation weight = codes_of("weight", {}), x = codes_of("x", columns());
    EXPECT_TRUE(at::equal(columns().cpu().nonzero().squeeze(1), expected("columns")));
    EXPECT_TRUE(at::equal(weight.values, expected("codes")));
    EXPECT_TRUE(at::equal(x.values, expected("x_codes")));
    for (const auto& [ours, name] : {std::pair(weight.scales, "absmax"), {x.scales, "x_absmax"}})
      EXPECT_TRUE(at::equal(ours, expected(name) / at::full_like(ours, 127))) << name;
  }

  /// bitsandbytes' constant for 127^-2 is 6.200124e-05 on a CPU, which is off by 2e-5. On a card it rounds to fp16 what
  /// is to be bf16 or fp32; we do not.
  void expect_product() const {
    const at::Tensor y = product(), theirs = expected("y");
    const double exact = device_.is_cpu() ? 2e-5 : 0x1p-10;
    const double rounding = y.scalar_type() == at::kFloat ? exact : y.scalar_type() == at::kHalf ? 0x1p-10 : 0x1p-7;
    EXPECT_LE(relative_to_largest(y.to(at::kFloat), theirs.to(at::kFloat)), rounding);
    if (y.scalar_type() == at::kFloat) return;
    EXPECT_LE((y != theirs).to(at::kFloat).mean().item<float>(), device_.is_cpu() ? 0.1 : 0.25);
  }

 private:
  std::string name_;
  at::Device device_;
  std::shared_ptr<const TensorSource> file_ = open_component(reference("llm_int8"));
};

class Int8Outliers : public testing::TestWithParam<std::tuple<std::string, std::pair<std::string, at::ScalarType>>> {
 protected:
  Int8OutliersCase on(at::Device device) const {
    return {std::get<0>(GetParam()) + "_" + std::get<1>(GetParam()).first, device};
  }
};

TEST_P(Int8Outliers, CodesAreBitsandbytes) { on(at::kCPU).expect_codes(); }

TEST_P(Int8Outliers, TheProductIsBitsandbytes) { on(at::kCPU).expect_product(); }

INSTANTIATE_TEST_SUITE_P(Cases, Int8Outliers, testing::Combine(testing::ValuesIn(kinds), testing::ValuesIn(dtypes)));

/// What bitsandbytes makes of it on a card is there where the reference was made on a machine with one.
class Int8OutliersGpu : public Int8Outliers {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  }
};

TEST_P(Int8OutliersGpu, CodesAndProductAreBitsandbytesOnACard) {
  if (!on(at::kCUDA).is_there()) GTEST_SKIP() << "the reference was made without a card";
  on(at::kCUDA).expect_codes();
  on(at::kCUDA).expect_product();
}

TEST_P(Int8OutliersGpu, CodesAreWithinOneOfTheTwins) {
  const Int8OutliersCase here = on(at::kCPU), there = on(at::kCUDA);
  EXPECT_TRUE(at::equal(there.columns().cpu(), here.columns()));
  for (const auto& [what, mask, mask_there] :
       {std::tuple("weight", at::Tensor(), at::Tensor()), {"x", here.columns(), there.columns()}}) {
    const Activation expected = here.codes_of(what, mask), codes = there.codes_of(what, mask_there);
    EXPECT_TRUE(at::equal(codes.scales, expected.scales)) << what;
    EXPECT_LE((codes.values.to(at::kInt) - expected.values.to(at::kInt)).abs().max().item<int>(), 1) << what;
  }
  EXPECT_LE(relative_to_largest(there.product().to(at::kFloat), here.product().to(at::kFloat)), 0.01);
}

INSTANTIATE_TEST_SUITE_P(Cases, Int8OutliersGpu, testing::Combine(testing::ValuesIn(kinds), testing::ValuesIn(dtypes)));

/// Columns and inputs of FLUX.1-dev's products.
class Int8OutliersSizesGpu : public testing::TestWithParam<std::tuple<at::ScalarType, std::pair<int64_t, int64_t>>> {};

/// Every row has an outlier in the same columns, so that they are those of any rows.
TEST_P(Int8OutliersSizesGpu, IsTheTwinsAndNoRowDependsOnOthersWithTheSameColumns) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  const auto [dtype, shape] = GetParam();
  const auto [columns, inputs] = shape;
  const auto weight = at::randn({columns, inputs}) / std::sqrt(static_cast<double>(inputs));
  const Linear product = linear_of(weight, {at::kCUDA, dtype, Format::int8_outliers});
  const auto x = at::randn({600, inputs}).clamp(-5, 5);
  for (int64_t column = 5; column < inputs; column += 97) x.select(1, column).sign_().mul_(20).add_(1);
  const auto there = x.to(at::kCUDA, dtype), all = product(there);
  for (const int64_t rows : {1, 77, 300, 599})
    EXPECT_TRUE(at::equal(product(there.narrow(0, 600 - rows, rows)), all.narrow(0, 600 - rows, rows)))
        << rows << " rows";
  const auto few = product(there.narrow(0, 0, 64)).cpu();
  const auto twin = linear_of(weight, {at::kCPU, dtype, Format::int8_outliers})(x.narrow(0, 0, 64).to(dtype));
  // Some codes are another; and what is rounded twice may be so twice otherwise.
  EXPECT_LE(relative_rms(few, twin.to(at::kDouble)), dtype == at::kHalf ? 2e-3 : 6e-3);
}

INSTANTIATE_TEST_SUITE_P(Sizes, Int8OutliersSizesGpu,
                         testing::Combine(testing::Values(at::kBFloat16, at::kHalf),
                                          testing::Values(std::pair(3072, 3072), std::pair(12288, 3072),
                                                          std::pair(3072, 15360))));

}  // namespace
}  // namespace flux
