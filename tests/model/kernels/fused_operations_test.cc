// What the fused operations compute, step by step in fp64.

#include <gtest/gtest.h>

#include "model/kernels/residual_norm.h"
#include "model/kernels/rms_norm_rope.h"
#include "tests/model/comparison.h"

namespace flux {
namespace {

at::Tensor random(at::IntArrayRef sizes, at::ScalarType dtype = at::kFloat) { return at::randn(sizes).to(dtype); }

/// One rounding to `dtype` of values around 1.
double rounding(at::ScalarType dtype) {
  if (dtype == at::kBFloat16) return 1.0 / 256;
  return dtype == at::kHalf ? 1.0 / 2048 : 1e-6;
}

class FusedOperations : public testing::TestWithParam<at::ScalarType> {};

at::Tensor normed(const at::Tensor& x, const ShiftScale& modulation) {
  const auto wide = x.to(at::kDouble);
  const auto centred = wide - wide.mean(1, true);
  return centred / (centred.square().mean(1, true) + 1e-6).sqrt() * (1 + modulation.scale) + modulation.shift;
}

TEST_P(FusedOperations, ModulatedNorm) {
  const auto x = random({7, 24}, GetParam()) * 3 + 5;
  const ShiftScale modulation{random({24}), random({24})};
  const auto out = at::empty({7, 24}, GetParam());
  modulated_norm(x, modulation, {out});
  EXPECT_LE(relative_to_largest(out.to(at::kDouble), normed(x, modulation)), rounding(GetParam()));
}

TEST_P(FusedOperations, AddAndNorm) {
  const auto residual = random({7, 24}, GetParam());
  const auto gate = random({24});
  const auto y = random({7, 24}, GetParam());
  const ShiftScale modulation{random({24}), random({24})};
  const auto out = at::empty({7, 24}, GetParam());
  const auto expected = residual.to(at::kDouble) + gate * y.to(at::kDouble);
  add_and_norm(residual, gate, y, modulation, {out});
  EXPECT_LE(relative_to_largest(residual.to(at::kDouble), expected), rounding(GetParam()));
  EXPECT_LE(relative_to_largest(out.to(at::kDouble), normed(residual, modulation)), rounding(GetParam()));
}

TEST_P(FusedOperations, RmsNormRope) {
  const auto buffer = random({5, 2, 3, 8}, GetParam());  // keys and values: tokens are strided
  const auto values = buffer.select(1, 1).clone();
  const auto x = buffer.select(1, 0);
  const auto weight = random({8});
  const auto angle = random({5, 4}) * 10;

  const auto wide = x.to(at::kDouble);
  const auto normed = wide / (wide.square().mean(-1, true) + 1e-6).sqrt() * weight;
  const auto turn = at::polar(at::ones({5, 1, 4}, at::kDouble), angle.to(at::kDouble).unsqueeze(1));
  const auto rotated = at::view_as_real(at::view_as_complex(normed.unflatten(-1, {4, 2})) * turn).flatten(-2);

  rms_norm_rope_aten(x, weight, angle.cos(), angle.sin(), x);
  EXPECT_LE(relative_to_largest(x.to(at::kDouble), rotated), rounding(GetParam()));
  EXPECT_TRUE(at::equal(buffer.select(1, 1), values));
}

TEST_P(FusedOperations, TakeNoRows) {
  const auto none = at::empty({0, 24}, GetParam());
  modulated_norm(none, {random({24}), random({24})}, {none});
  add_and_norm(none, random({24}), none, {random({24}), random({24})}, {none});
  const at::Tensor heads = none.view({0, 3, 8});
  rms_norm_rope(heads, random({8}), at::empty({0, 4}), at::empty({0, 4}), heads);
}

INSTANTIATE_TEST_SUITE_P(Cpu, FusedOperations, testing::Values(at::kFloat, at::kBFloat16, at::kHalf));

}  // namespace
}  // namespace flux
