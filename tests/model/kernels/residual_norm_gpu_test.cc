#include <gtest/gtest.h>

#include <limits>

#include "model/kernels/residual_norm.h"
#include "tests/model/comparison.h"

namespace flux {
namespace {

struct Dtypes {
  at::ScalarType residual, compute;
};

using Case = std::tuple<Dtypes, int64_t>;  // and d

double rounding(at::ScalarType dtype) {
  return dtype == at::kFloat ? 1e-6 : dtype == at::kHalf ? 1.0 / 1024 : 1.0 / 128;
}

class ResidualNormGpu : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  }
};

/// The kernel and its twin differ by the order of their sums, and by a product that is not rounded before it is added:
/// at most one rounding of the result.
TEST_P(ResidualNormGpu, EqualsItsTwin) {
  const auto [dtypes, d] = GetParam();
  for (const int64_t rows : {0, 1, 37, 1000}) {
    const auto residual = (at::randn({rows, d}) * 3 + 1).to(dtypes.residual);
    const auto y = at::randn({rows, d}).to(dtypes.residual);
    const auto gate = at::randn({d});
    const ShiftScale modulation{at::randn({d}), at::randn({d})};
    const ShiftScale there{modulation.shift.cuda(), modulation.scale.cuda()};
    const auto out = at::empty({rows, d}, dtypes.compute);
    const auto residual_there = residual.cuda();
    const auto out_there = at::empty({rows, d}, out.options().device(at::kCUDA));

    modulated_norm_aten(residual, modulation, {out});
    modulated_norm(residual_there, there, {out_there});
    if (rows > 0) {
      EXPECT_LE(relative_to_largest(out_there.cpu().to(at::kFloat), out.to(at::kFloat)), rounding(dtypes.compute));
    }

    add_and_norm_aten(residual, gate, y, modulation, {out});
    add_and_norm(residual_there, gate.cuda(), y.cuda(), there, {out_there});
    if (rows == 0) continue;
    EXPECT_LE(relative_to_largest(residual_there.cpu().to(at::kFloat), residual.to(at::kFloat)),
              rounding(dtypes.residual))
        << rows;
    EXPECT_LE(relative_to_largest(out_there.cpu().to(at::kFloat), out.to(at::kFloat)),
              rounding(dtypes.compute) + rounding(dtypes.residual))
        << rows;
  }
}

TEST_P(ResidualNormGpu, WhatIsNotFiniteStaysSo) {
  const auto [dtypes, d] = GetParam();
  const auto residual = at::zeros({3, d}, at::dtype(dtypes.residual).device(at::kCUDA));
  const auto y = at::zeros_like(residual);
  y.select(0, 1).fill_(std::numeric_limits<float>::quiet_NaN());
  const auto ones = at::ones({d}, at::dtype(at::kFloat).device(at::kCUDA));
  const auto out = at::empty({3, d}, residual.options().dtype(dtypes.compute));
  add_and_norm(residual, ones, y, {ones, ones}, {out});
  EXPECT_TRUE(out.select(0, 1).isnan().all().item<bool>());
  EXPECT_TRUE(out.select(0, 2).isfinite().all().item<bool>());
}

INSTANTIATE_TEST_SUITE_P(ResidualNorm, ResidualNormGpu,
                         testing::Combine(testing::Values(Dtypes{at::kFloat, at::kFloat},
                                                          Dtypes{at::kBFloat16, at::kBFloat16},
                                                          Dtypes{at::kFloat, at::kHalf}),
                                          testing::Values(3072, 128, 48, 10, 36, 12288)));

}  // namespace
}  // namespace flux
