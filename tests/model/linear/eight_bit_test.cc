// What a product loses in 8 bits, on every kind of data that a transformer multiplies, and what it must not lose.

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "model/kernels/quantize_operand.h"
#include "model/linear/eight_bit_product.h"
#include "parallel/rank/errors.h"
#include "tests/model/comparison.h"
#include "tests/model/linear/given.h"

namespace flux {
namespace {

double relative_error(const at::Tensor& x, const at::Tensor& weight, Format format) {
  const auto bias = at::linspace(-1, 1, weight.size(0));
  const auto exact = at::linear(x.to(at::kDouble), weight.to(at::kDouble));
  const auto difference = linear_of(weight, {at::kCPU, at::kFloat, format})(x).to(at::kDouble) - bias - exact;
  return (difference.norm() / exact.norm()).item<double>();
}

struct Data {
  std::string name;
  std::function<at::Tensor(int64_t rows, int64_t width)> make;
  double at_most;       // relative error in int8
  double of_fp8 = 0.4;  // the same, as a part of fp8's
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
     0.018, 0.45},  // whose products are nearly all of fp8's error, and few
};

TEST(Int8, IsNearlyLossless) {
  at::manual_seed(1);
  const auto weight = at::randn({256, 3072}) / std::sqrt(3072.0);
  for (const Data& data : kinds) {
    const auto x = data.make(96, 3072);
    const double int8 = relative_error(x, weight, Format::int8), fp8 = relative_error(x, weight, Format::fp8);
    EXPECT_LE(int8, data.at_most) << data.name;
    EXPECT_LE(int8, data.of_fp8 * fp8) << data.name;
    EXPECT_LE(int8, 1.6 * relative_error(x, weight, Format::int8_outliers)) << data.name;
    // Mantissas of three bits: both sides are off by 2^-3 sqrt(E m^-2 / 12), a mantissa m being as likely as 1 / m.
    EXPECT_NEAR(fp8, std::sqrt(2.0) * 0.125 * std::sqrt(3 / (8 * std::log(2.0)) / 12), 0.02 * data.of_fp8) << data.name;
    EXPECT_LE(relative_error(x, weight, Format::int8_weights), 0.012) << data.name;
    EXPECT_NEAR(relative_error(x, weight, Format::fp8_weights) * std::sqrt(2.0), fp8, 0.03 * data.of_fp8) << data.name;
  }
}

/// Sums of integers, then one fused multiply-add: nothing else may happen.
TEST(Int8, ArithmeticIsThatOfItsDefinition) {
  const auto weight = at::randn({40, 96});
  const auto x = at::randn({7, 96});
  const Activation codes = as_input(Format::int8, x), weight_codes = as_input(Format::int8, weight);
  weight_codes.scales.div_(32);  // 96 has blocks of 32
  const auto bias = at::randn({40}), out = at::empty({7, 40});
  eight_bit_product_aten(codes, weight_codes, bias, out, Epilogue::none);
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

/// What torch makes of the same codes and scales.
TEST(Fp8, IsTheProductOfItsCodes) {
  const auto weight = at::randn({48, 96}), x = at::randn({7, 96}), bias = at::linspace(-1, 1, 48);
  const auto values = [](const Activation& codes) {
    return codes.values.to(at::kDouble) * codes.scales.to(at::kDouble).unsqueeze(1);
  };
  const auto exact = at::linear(values(as_input(Format::fp8, x)), values(as_input(Format::fp8, weight))) + bias;
  EXPECT_LE(relative_to_largest(linear_of(weight, {at::kCPU, at::kFloat, Format::fp8})(x), exact), 1e-6);
}

TEST(EightBits, RefuseWidthsThatNoTensorCoreTakes) {
  for (const Format format : {Format::int8, Format::fp8}) {
    try {
      linear_of(at::randn({8, 36}), {at::kCPU, at::kFloat, format});
      FAIL();
    } catch (const Invalid& error) {
      EXPECT_NE(std::string(error.what()).find("36 inputs, and " + std::string(format_name(format))), std::string::npos)
          << error.what();
    }
  }
}

}  // namespace
}  // namespace flux
