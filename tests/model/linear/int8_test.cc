// What a product loses in int8, on every kind of data that a transformer multiplies, and what it must not lose.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "model/checkpoint/tensor_source.h"
#include "model/kernels/rotate_quantize.h"
#include "model/linear/int8_product.h"
#include "model/linear/linear.h"
#include "parallel/rank/errors.h"
#include "tests/model/comparison.h"

namespace flux {
namespace {

/// One weight and its bias in memory.
class Given : public TensorSource {
 public:
  Given(at::Tensor weight, at::Tensor bias) : weight_(std::move(weight)), bias_(std::move(bias)) {
    for (const auto& [name, values] : {std::pair("a.weight", weight_), std::pair("a.bias", bias_)})
      infos_.push_back({.name = name,
                        .dtype = values.scalar_type(),
                        .stored_as = "F32",
                        .shape = values.sizes().vec(),
                        .bytes = static_cast<int64_t>(values.nbytes()),
                        .file = "memory"});
  }

  const TensorInfo* find(std::string_view name) const override {
    for (const TensorInfo& info : infos_)
      if (info.name == name) return &info;
    return nullptr;
  }
  std::string where() const override { return "memory"; }
  std::vector<std::string> names() const override { return {"a.bias", "a.weight"}; }
  void read(const TensorInfo& info, int64_t row, const at::Tensor& into) const override {
    into.copy_((info.name == "a.weight" ? weight_ : bias_).narrow(0, row, into.size(0)));
  }

 private:
  at::Tensor weight_, bias_;
  std::vector<TensorInfo> infos_;
};

Linear linear(const at::Tensor& weight, Format format, at::ScalarType compute = at::kFloat) {
  const auto bias = at::linspace(-1, 1, weight.size(0));
  return {Weights(std::make_shared<Given>(weight, bias), {at::kCPU, compute, format}),
          {"a"},
          weight.size(0),
          weight.size(1)};
}

double relative_error(const at::Tensor& x, const at::Tensor& weight, Format format) {
  const auto bias = at::linspace(-1, 1, weight.size(0));
  const auto exact = at::linear(x.to(at::kDouble), weight.to(at::kDouble));
  const auto difference = linear(weight, format)(x).to(at::kDouble) - bias - exact;
  return (difference.norm() / exact.norm()).item<double>();
}

struct Data {
  std::string name;
  std::function<at::Tensor(int64_t rows, int64_t width)> make;
  double at_most;  // relative error in int8
};

at::Tensor with_outliers(at::Tensor x, int64_t columns, double factor) {
  for (int64_t i = 0; i < columns; ++i) x.select(1, (i * 97 + 13) % x.size(1)).mul_(factor);
  return x;
}

const std::vector<Data> kinds = {
    {"normal", [](int64_t rows, int64_t width) { return at::randn({rows, width}); }, 0.015},
    {"gelu", [](int64_t rows, int64_t width) { return at::gelu(at::randn({rows, width})); }, 0.015},
    {"joined",
     [](int64_t rows, int64_t width) {
       const int64_t attended = width / 8;
       return at::cat({0.1 * at::randn({rows, attended}), at::gelu(at::randn({rows, width - attended}))}, 1);
     },
     0.015},
    {"16 columns x 30", [](int64_t rows, int64_t width) { return with_outliers(at::randn({rows, width}), 16, 30); },
     0.018},
    {"one column x 100", [](int64_t rows, int64_t width) { return with_outliers(at::randn({rows, width}), 1, 100); },
     0.018},
};

TEST(Int8, IsNearlyLossless) {
  at::manual_seed(1);
  const auto weight = at::randn({256, 3072}) / std::sqrt(3072.0);
  for (const Data& data : kinds) {
    const auto x = data.make(96, 3072);
    EXPECT_LE(relative_error(x, weight, Format::int8), data.at_most) << data.name;
    EXPECT_LE(relative_error(x, weight, Format::int8_weights), 0.012) << data.name;
  }
}

/// Sums of integers, then one fused multiply-add: nothing else may happen.
TEST(Int8, ArithmeticIsThatOfItsDefinition) {
  const auto weight = at::randn({40, 96});
  const auto x = at::randn({7, 96});
  const Activation codes = as_input(Format::int8, x), weight_codes = as_input(Format::int8, weight);
  weight_codes.scales.div_(32);  // 96 has blocks of 32
  const auto bias = at::randn({40}), out = at::empty({7, 40});
  int8_product_aten(codes, weight_codes, bias, out, Epilogue::none);
  for (int64_t row = 0; row < 7; ++row) {
    for (int64_t column = 0; column < 40; ++column) {
      const auto sum = (codes.values[row].to(at::kLong) * weight_codes.values[column].to(at::kLong)).sum();
      const float scaled = weight_codes.scales[column].item<float>() * static_cast<float>(sum.item<int64_t>());
      EXPECT_EQ(out[row][column].item<float>(),
                std::fma(codes.scales[row].item<float>(), scaled, bias[column].item<float>()));
    }
  }
  EXPECT_LE(relative_to_largest(out - bias, at::linear(x, weight)), 0.03);
}

class QuantizedLinear : public testing::TestWithParam<std::tuple<Format, at::ScalarType>> {
 protected:
  Linear of(const at::Tensor& weight) const { return linear(weight, std::get<0>(GetParam()), compute()); }
  at::ScalarType compute() const { return std::get<1>(GetParam()); }
};

TEST_P(QuantizedLinear, RowsDoNotDependOnEachOther) {
  const auto product = of(at::randn({64, 128}));
  const auto x = at::randn({19, 128}).to(compute());
  const auto all = product(x);
  for (int64_t rows = 1; rows <= 19; ++rows)
    EXPECT_TRUE(at::equal(product(x.narrow(0, 19 - rows, rows)), all.narrow(0, 19 - rows, rows))) << rows;
}

TEST_P(QuantizedLinear, WritesAColumnRangeAndUnroundedSums) {
  const auto product = of(at::randn({64, 128}));
  const auto x = at::randn({5, 128}).to(compute());
  const auto wide = at::zeros({5, 80}, compute()), sums = at::empty({5, 64});
  product(as_input(product.input(), x), wide.narrow(1, 8, 64));
  product(as_input(product.input(), x), sums);
  if (std::get<0>(GetParam()) == Format::int8) {
    EXPECT_TRUE(at::equal(wide.narrow(1, 8, 64), sums.to(compute())));
  } else {  // a CPU's product in 16 bit, which may round before it adds the bias
    const double rounding = compute() == at::kFloat ? 0 : compute() == at::kHalf ? 0x1p-10 : 0x1p-7;
    EXPECT_LE(relative_to_largest(wide.narrow(1, 8, 64).to(at::kFloat), sums), rounding);
  }
  EXPECT_EQ(wide.narrow(1, 0, 8).abs().max().item<float>() + wide.narrow(1, 72, 8).abs().max().item<float>(), 0);
}

TEST_P(QuantizedLinear, AppliesItsEpilogue) {
  const auto weight = at::randn({64, 128});
  const auto product = of(weight);
  const auto x = at::randn({5, 128}).to(compute());
  const auto out = at::empty({5, 64}, compute()), plain = at::empty({5, 64});
  product(as_input(product.input(), x), out, Epilogue::gelu);
  product(as_input(product.input(), x), plain);
  const auto exact = at::gelu(plain, "tanh");
  EXPECT_LE(relative_to_largest(out.to(at::kFloat), exact), compute() == at::kFloat ? 1e-6 : 1.0 / 128);
}

TEST_P(QuantizedLinear, WhatIsNotFiniteStaysSo) {
  const auto product = of(at::randn({64, 128}));
  const auto x = at::randn({4, 128}).to(compute());
  x[2][5] = std::numeric_limits<float>::infinity();
  const auto finite = product(x).isfinite();
  EXPECT_FALSE(finite[2].any().item<bool>());
  EXPECT_TRUE(finite.narrow(0, 0, 2).all().item<bool>() && finite[3].all().item<bool>());
}

TEST_P(QuantizedLinear, OfZerosIsItsBias) {
  const auto product = of(at::zeros({64, 128}));
  EXPECT_TRUE(at::equal(product(at::randn({3, 128}).to(compute()))[0], at::linspace(-1, 1, 64).to(compute())));
}

TEST_P(QuantizedLinear, TakesNoRows) {
  EXPECT_EQ(of(at::randn({64, 128}))(at::empty({0, 128}, compute())).sizes(), (std::vector<int64_t>{0, 64}));
}

INSTANTIATE_TEST_SUITE_P(Formats, QuantizedLinear,
                         testing::Combine(testing::Values(Format::int8, Format::int8_weights),
                                          testing::Values(at::kFloat, at::kBFloat16, at::kHalf)));

TEST(Int8, RefusesWidthsThatNoTensorCoreTakes) {
  try {
    linear(at::randn({8, 36}), Format::int8);
    FAIL();
  } catch (const Invalid& error) {
    EXPECT_NE(std::string(error.what()).find("36 inputs"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace flux
