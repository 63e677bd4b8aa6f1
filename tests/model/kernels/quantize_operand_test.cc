#include "model/kernels/quantize_operand.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "model/kernels/dequantize.h"
#include "model/kernels/quantize_rows.h"
#include "model/kernels/rotation.h"

namespace flux {
namespace {

Activation room(int64_t rows, int64_t width, at::ScalarType codes = at::kChar) {
  return {at::empty({rows, width}, codes), at::empty({rows}, at::kFloat)};
}

Activation quantized(const at::Tensor& x) {
  const Activation out = room(x.size(0), x.size(1));
  quantize_operand(x, out);
  return out;
}

/// The rotation as a matrix: blocks of H D on the diagonal, by the definition of a Hadamard matrix.
at::Tensor rotation(int64_t width) {
  const int64_t block = rotation_block(width);
  const auto matrix = at::zeros({width, width}, at::kDouble);
  for (int64_t row = 0; row < width; ++row) {
    for (int64_t c = 0; c < block; ++c) {
      const bool negative = __builtin_popcountll(static_cast<uint64_t>(row % block & c)) % 2 != 0;
      const bool sign = (rotation_signs[c / 32] >> (c % 32) & 1) != 0;
      matrix.index_put_({at::tensor(row), at::tensor(row / block * block + c)},
                        at::tensor(negative != sign ? -1.0 : 1.0, at::kDouble));
    }
  }
  return matrix;
}

class QuantizeOperand : public testing::TestWithParam<int64_t> {};

TEST_P(QuantizeOperand, RoundsRotatedRowsToAStep) {
  const auto x = at::randn({5, GetParam()});
  const Activation out = quantized(x);
  const auto exact = at::mm(x.to(at::kDouble), rotation(GetParam()).t());
  const auto steps = exact / out.scales.to(at::kDouble).unsqueeze(1);
  EXPECT_LE((out.values.to(at::kDouble) - steps).abs().max().item<double>(), 0.5 + 1e-3);
  EXPECT_TRUE((out.values.abs().amax(1) == 127).all().item<bool>());
}

TEST_P(QuantizeOperand, ReadsStridedRowsOfEveryDtype) {
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    const auto wide = at::randn({4, GetParam() + 16}).to(dtype);
    const auto x = wide.narrow(1, 8, GetParam());
    const Activation out = quantized(x), expected = quantized(x.to(at::kFloat).contiguous());
    EXPECT_TRUE(at::equal(out.values, expected.values));
    EXPECT_TRUE(at::equal(out.scales, expected.scales));
  }
}

INSTANTIATE_TEST_SUITE_P(Widths, QuantizeOperand, testing::Values(16, 48, 128, 256, 640, 3072));

TEST(RotationBlock, DividesTheWidth) {
  EXPECT_EQ(rotation_block(3072), 256);
  EXPECT_EQ(rotation_block(15360), 256);
  EXPECT_EQ(rotation_block(640), 128);
  EXPECT_EQ(rotation_block(48), 16);
}

TEST(QuantizeOperandRows, OfZerosAreZeros) {
  const Activation out = quantized(at::zeros({2, 64}));
  EXPECT_EQ(out.values.abs().max().item<int>(), 0);
  EXPECT_EQ(out.scales.abs().max().item<float>(), 0);
}

TEST(QuantizeOperandRows, ThatAreNotFiniteStaySo) {
  for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    const auto x = at::randn({3, 64});
    x[1][7] = bad;
    const Activation out = quantized(x);
    EXPECT_EQ(out.scales.isfinite().sum().item<int>(), 2);
    EXPECT_FALSE(std::isfinite(out.scales[1].item<float>()));
  }
}

TEST(QuantizeOperandRows, TakeTheLargestValuesOfFp16) {
  const Activation out = quantized(at::full({1, 256}, 65504.0, at::kHalf));
  EXPECT_TRUE(out.scales.isfinite().all().item<bool>());
}

TEST(QuantizeRows, RoundHalvesToEven) {
  const Activation out = room(1, 4);
  quantize_rows(at::tensor({127.0F, 0.5F, 1.5F, -2.5F}).unsqueeze(0), out);
  EXPECT_TRUE(at::equal(out.values, at::tensor({127, 0, 2, -2}).to(at::kChar).unsqueeze(0)));
  EXPECT_EQ(out.scales.item<float>(), 1);
}

/// e4m3 counts in steps of 2^-3 between powers of two, of 2^-9 below 2^-6.
TEST(QuantizeRows, RoundHalvesToEvenInE4m3) {
  const Activation out = room(1, 8, at::kFloat8_e4m3fn);
  quantize_rows(at::tensor({-448.0, 1.0625, 1.1875, -432.0, 0x1p-10, 0x3p-10, 0.0, 17.0}).to(at::kFloat).unsqueeze(0),
                out);
  EXPECT_TRUE(at::equal(out.values.to(at::kDouble)[0],
                        at::tensor({-448.0, 1.0, 1.25, -448.0, 0.0, 0x1p-8, 0.0, 16.0}, at::kDouble)));
  EXPECT_EQ(out.scales.item<float>(), 1);
}

TEST(QuantizeOperandRows, OfE4m3AreNotRotated) {
  const at::Tensor x = at::randn({3, 64});
  const Activation out = room(3, 64, at::kFloat8_e4m3fn), expected = room(3, 64, at::kFloat8_e4m3fn);
  quantize_operand(x, out);
  quantize_rows(x, expected);
  EXPECT_TRUE(at::equal(out.values.view(at::kByte), expected.values.view(at::kByte)));
  EXPECT_TRUE(at::equal(out.scales, expected.scales));
}

TEST(QuantizeRows, TakeSomeHeadsOfTokens) {
  const at::Tensor all = at::randn({5, 6, 16}), heads = all.narrow(1, 2, 3), before = all.clone();
  const Activation expected = room(15, 16), out = room(15, 16);
  quantize_rows(heads.flatten(0, 1).contiguous(), expected);
  quantize_rows(heads, out);
  EXPECT_TRUE(at::equal(out.values, expected.values));
  EXPECT_TRUE(at::equal(out.scales, expected.scales));
  dequantize(out, heads);
  EXPECT_TRUE(at::equal(heads.reshape({15, 16}), out.values * out.scales.unsqueeze(1)));
  heads.copy_(before.narrow(1, 2, 3));
  EXPECT_TRUE(at::equal(all, before));  // nothing else was written to
}

}  // namespace
}  // namespace flux
