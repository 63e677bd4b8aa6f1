#include <gtest/gtest.h>

#include <limits>

#include "built_with.h"
#include "model/kernels/dequantize.h"
#include "model/kernels/quantize_operand.h"
#include "model/kernels/quantize_rows.h"
#include "model/kernels/residual_norm.h"

#if FLUX_CUDA
namespace flux {
namespace {

Activation room(const at::Tensor& like, at::ScalarType codes) {
  return {at::empty(like.sizes(), like.options().dtype(codes)),
          at::empty({like.size(0)}, like.options().dtype(at::kFloat))};
}

/// Codes in their order, so that neighbours differ by one; 0 and -0 are the same.
at::Tensor order(const at::Tensor& codes) {
  const auto bits = codes.cpu().view(at::kChar).to(at::kInt);
  return codes.scalar_type() == at::kChar ? bits : at::where(bits < 0, -(bits + 128), bits);
}

/// As bits: what is no number equals itself.
bool equal_bits(const at::Tensor& a, const at::Tensor& b) {
  return at::equal(a.cpu().view(at::kInt), b.cpu().view(at::kInt));
}

/// Of codes, from values of a dtype, in rows of a width.
class QuantizeOperandGpu : public testing::TestWithParam<std::tuple<at::ScalarType, at::ScalarType, int64_t>> {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  }
  at::ScalarType codes() const { return std::get<0>(GetParam()); }
  at::ScalarType dtype() const { return std::get<1>(GetParam()); }
  int64_t width() const { return std::get<2>(GetParam()); }
  Activation room(const at::Tensor& like) const { return flux::room(like, codes()); }
};

using Quantize = void(const at::Tensor&, const Activation&);

/// A row of zeros, one of the least numbers, one that is not finite, and strides.
void expect_equal_bits(Quantize& twin, Quantize& kernel, at::ScalarType codes, at::ScalarType dtype, int64_t width) {
  const auto wide = (at::randn({67, width + 32}) * at::rand({67, 1}) * 100).to(dtype);
  wide[3].zero_();
  wide[4].mul_(1e-41);
  wide[5][20] = std::numeric_limits<float>::infinity();
  const auto x = wide.narrow(1, 16, width);
  const auto there = wide.cuda().narrow(1, 16, width);
  const Activation expected = room(x, codes), out = room(there, codes);
  twin(x, expected);
  kernel(there, out);
  EXPECT_TRUE(equal_bits(out.scales.isfinite().to(at::kInt), expected.scales.isfinite().to(at::kInt)));
  const auto finite = expected.scales.isfinite().nonzero().squeeze(1);
  EXPECT_EQ(finite.size(0), 66);
  EXPECT_TRUE(equal_bits(out.scales.cpu().index_select(0, finite), expected.scales.index_select(0, finite)));
  EXPECT_TRUE(at::equal(out.values.cpu().view(at::kChar).index_select(0, finite),
                        expected.values.view(at::kChar).index_select(0, finite)));
}

TEST_P(QuantizeOperandGpu, EqualsItsTwinBitForBit) {
  expect_equal_bits(quantize_operand_aten, quantize_operand, codes(), dtype(), width());
}

TEST_P(QuantizeOperandGpu, UnrotatedRowsEqualTheirTwinBitForBit) {
  expect_equal_bits(quantize_rows_aten, quantize_rows, codes(), dtype(), width());
  expect_equal_bits(quantize_rows_aten, quantize_rows, codes(), dtype(), width() + 7);
}

/// The norm's sums round otherwise on a card: a code may be off by one where it lay between two.
TEST_P(QuantizeOperandGpu, FollowsTheNormInOnePass) {
  if (width() > 4096) GTEST_SKIP() << "no norm is as wide";
  const auto residual = at::randn({67, width()}).to(dtype()), y = at::randn({67, width()}).to(dtype());
  const auto gate = at::randn({width()}), shift = at::randn({width()}), scale = at::randn({width()});
  const auto there = residual.cuda();
  const Activation expected = room(residual), out = room(there);
  add_and_norm_aten(residual, gate, y, {shift, scale}, expected);
  add_and_norm(there, gate.cuda(), y.cuda(), {shift.cuda(), scale.cuda()}, out);
  EXPECT_TRUE(at::allclose(out.scales.cpu(), expected.scales, 1e-3, 0));
  const auto off = (order(out.values) - order(expected.values)).abs();
  EXPECT_LE(off.max().item<int>(), 1);
  EXPECT_LE(off.to(at::kFloat).mean().item<float>(), 0.01);
}

TEST_P(QuantizeOperandGpu, CodesAreWidenedAsTheirTwinDoes) {
  const Activation codes{(100 * at::randn({9, width()})).clamp(-127, 127).to(this->codes()), at::rand({9})};
  const auto expected = at::empty({9, width()}, dtype()), out = expected.cuda();
  dequantize_aten(codes, expected);
  dequantize({codes.values.cuda(), codes.scales.cuda()}, out);
  EXPECT_TRUE(at::equal(out.cpu(), expected));
}

TEST_P(QuantizeOperandGpu, SomeHeadsOfTokensEqualTheirTwins) {
  const auto some = [](const at::Tensor& all) { return all.narrow(1, 2, 3); };
  const auto all = at::randn({9, 6, width()}).to(dtype()), there = all.cuda();
  const Activation expected = room(all.flatten(0, 1).narrow(0, 0, 27)),
                   out = room(there.flatten(0, 1).narrow(0, 0, 27));
  quantize_rows_aten(some(all), expected);
  quantize_rows(some(there), out);
  EXPECT_TRUE(at::equal(order(out.values), order(expected.values)));
  EXPECT_TRUE(equal_bits(out.scales, expected.scales));
  dequantize_aten(expected, some(all));
  dequantize(out, some(there));
  EXPECT_TRUE(at::equal(there.cpu(), all));
}

INSTANTIATE_TEST_SUITE_P(Widths, QuantizeOperandGpu,
                         testing::Combine(testing::Values(at::kChar, at::kFloat8_e4m3fn),
                                          testing::Values(at::kFloat, at::kBFloat16, at::kHalf),
                                          testing::Values(16, 48, 128, 640, 3072, 12288, 15360)));

}  // namespace
}  // namespace flux
#endif
