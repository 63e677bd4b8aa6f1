// 4-bit codes, absmax and values are bitsandbytes', bit for bit.

#include "model/linear/four_bit.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/kernels/dequantize_4bit.h"
#include "parallel/rank/errors.h"
#include "tests/model/comparison.h"
#include "tests/model/linear/given.h"
#include "tests/reference.h"

namespace flux {
namespace {

const std::vector<std::string> cases = {"one_block", "normal", "bf16", "fp16",     "spread",  "zeros",
                                        "nothing",   "tiny",   "huge", "ties_nf4", "ties_fp4"};

/// Of one matrix, what bitsandbytes made of it and what we do.
class FourBitCase : public testing::TestWithParam<std::tuple<std::string, Format>> {
 protected:
  Format format() const { return std::get<1>(GetParam()); }
  at::Tensor weight() const { return stored(*file_, std::get<0>(GetParam()) + ".weight"); }
  at::Tensor expected(const std::string& what) const {
    return stored(*file_, std::get<0>(GetParam()) + "." + format_name(format()) + "." + what);
  }

  FourBit quantized() const {
    const at::Tensor rows = weight();
    const int64_t blocks = rows.size(1) / FourBit::block;
    const FourBit to{.codes = at::empty({rows.size(0), rows.size(1) / 2}, at::kByte),
                     .absmax = at::empty({rows.size(0), blocks}, at::kFloat)};
    quantize_4bit(rows, format(), to.codes, to.absmax);
    return to;
  }

  static FourBit nested(const FourBit& plain) {
    const FourBit to{.codes = plain.codes,
                     .absmax = at::empty(plain.absmax.sizes(), at::kByte),
                     .nested = at::empty({FourBit::nested_size(plain.absmax.numel())}, at::kFloat)};
    quantize_absmax(plain.absmax, to);
    return to;
  }

  void expect_values(const FourBit& from, const std::string& prefix) const {
    for (const auto& [name, dtype] : {std::pair("fp32", at::kFloat), {"bf16", at::kBFloat16}, {"fp16", at::kHalf}}) {
      const at::Tensor all = at::empty(weight().sizes(), dtype);
      dequantize_4bit(from, format(), 0, all);
      EXPECT_TRUE(at::equal(all, expected(prefix + name))) << name;
      const int64_t rows = all.size(0), first = rows / 3;
      const at::Tensor some = at::empty({rows - first, all.size(1)}, dtype);
      dequantize_4bit(from, format(), first, some);
      EXPECT_TRUE(at::equal(some, all.narrow(0, first, rows - first))) << name << " from row " << first;
    }
  }

 private:
  std::shared_ptr<const TensorSource> file_ = open_component(reference("four_bit"));
};

TEST_P(FourBitCase, CodesAndAbsmaxAreBitsandbytes) {
  const FourBit ours = quantized();
  EXPECT_TRUE(at::equal(ours.codes, expected("codes")));
  EXPECT_TRUE(at::equal(ours.absmax, expected("absmax")));
}

TEST_P(FourBitCase, DoubleQuantisationIsBitsandbytes) {
  const FourBit ours = nested(quantized());
  EXPECT_TRUE(at::equal(ours.offset(), expected("offset")));
  EXPECT_TRUE(at::equal(ours.map(), expected("nested_map")));
  EXPECT_TRUE(at::equal(ours.nested_absmax(), expected("nested_absmax")));
  EXPECT_TRUE(at::equal(ours.absmax, expected("nested")));
}

TEST_P(FourBitCase, ValuesAreBitsandbytes) {
  const FourBit plain = quantized();
  expect_values(plain, "plain_");
  expect_values(nested(plain), "");
}

INSTANTIATE_TEST_SUITE_P(Matrices, FourBitCase,
                         testing::Combine(testing::ValuesIn(cases), testing::Values(Format::nf4, Format::fp4)),
                         [](const auto& one) {
                           return std::get<0>(one.param) + "_as_" + format_name(std::get<1>(one.param));
                         });

/// ATen sums so many values in another order where it has several threads, and rounds some otherwise.
TEST(FourBit, TheOffsetDoesNotDependOnThreads) {
  constexpr int64_t many = 400'000, times = 20;
  const auto offset = [](const at::Tensor& absmax, int threads) {
    const int before = at::get_num_threads();
    at::set_num_threads(threads);
    const FourBit to{.codes = {},
                     .absmax = at::empty({many}, at::kByte),
                     .nested = at::empty({FourBit::nested_size(many)}, at::kFloat)};
    quantize_absmax(absmax, to);
    at::set_num_threads(before);
    return to.offset().item<float>();
  };
  for (int time = 0; time < times; ++time) {
    const at::Tensor absmax = at::rand({many});
    EXPECT_EQ(offset(absmax, 1), offset(absmax, 3));
  }
}

/// Of weights that are distributed normally, relative and in RMS.
TEST(FourBit, LosesWhatSixteenValuesDo) {
  at::manual_seed(1);
  const at::Tensor weight = at::randn({256, 3072}), x = at::eye(3072);
  const auto error = [&](Format format) {
    const at::Tensor values = linear_of(weight, {at::kCPU, at::kFloat, format})(x) - at::linspace(-1, 1, 256);
    return relative_rms(values.t(), weight);
  };
  EXPECT_LE(error(Format::nf4), 0.1);
  EXPECT_LE(error(Format::fp4), 0.13);
  EXPECT_LT(error(Format::nf4), error(Format::fp4));
}

/// Two parts stacked are what they are alone: each has an offset of its own.
TEST(FourBit, StackedPartsAreQuantisedApart) {
  const at::Tensor a = at::randn({64, 128}), b = 5 + at::randn({64, 128}), x = at::randn({9, 128});
  const auto alone = [&](const at::Tensor& weight) {
    return linear_of(weight, {at::kCPU, at::kFloat, Format::nf4})(x);
  };
  struct Two : Given {
    Two(const at::Tensor& first, const at::Tensor& second)
        : Given(first, at::linspace(-1, 1, 64)), other(second, at::linspace(-1, 1, 64)) {}
    static std::string as_a(std::string_view name) { return "a" + std::string(name.substr(1)); }
    const TensorInfo* find(std::string_view name) const override {
      return name.starts_with("b") ? other.find(as_a(name)) : Given::find(name);
    }
    void read(const TensorInfo& info, int64_t row, const at::Tensor& into) const override {
      &info == other.find(info.name) ? other.read(info, row, into) : Given::read(info, row, into);
    }
    Given other;
  };
  const Weights weights(std::make_shared<Two>(a, b), {at::kCPU, at::kFloat, Format::nf4});
  const at::Tensor stacked = Linear(weights, {"a", "b"}, 128, 128)(x);
  EXPECT_TRUE(at::equal(stacked.narrow(1, 0, 64), alone(a)));
  EXPECT_TRUE(at::equal(stacked.narrow(1, 64, 64), alone(b)));
}

TEST(FourBit, RefusesWidthsWithoutWholeBlocks) {
  try {
    linear_of(at::randn({8, 96}), {at::kCPU, at::kFloat, Format::nf4});
    FAIL();
  } catch (const Invalid& error) {
    EXPECT_THAT(error.what(),
                testing::HasSubstr("96 inputs, and nf4 takes multiples of 64: keep it in none or int8-weights"));
  }
}

}  // namespace
}  // namespace flux
