#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "model/kernels/attention_codes.h"
#include "model/kernels/rms_norm_rope.h"
#include "tests/model/comparison.h"

namespace flux {
namespace {

using Case = std::tuple<at::ScalarType, int64_t>;  // dtype, head_dim

class RmsNormRopeGpu : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  }
};

/// The kernel and its twin differ by the order of their sums: at most one rounding of the result.
TEST_P(RmsNormRopeGpu, EqualsItsTwin) {
  const auto [dtype, head_dim] = GetParam();
  const double rounding = dtype == at::kFloat ? 1e-6 : dtype == at::kHalf ? 1.0 / 1024 : 1.0 / 128;
  for (const auto& [tokens, heads] :
       std::vector<std::pair<int64_t, int64_t>>{{0, 3}, {1, 3}, {37, 8}, {1000, 3}, {999, 24}}) {
    const auto on_card = at::randn({tokens, 2, heads, head_dim}).to(at::kCUDA, dtype);
    const auto here = on_card.cpu();
    const auto weight = at::randn({head_dim});
    const auto angle = at::randn({tokens, head_dim / 2}) * 10;
    const auto by_card = [&, weight = weight](const at::Tensor& out) {
      rms_norm_rope(on_card.select(1, 0), weight.cuda(), angle.cos().cuda(), angle.sin().cuda(), out);
    };
    const auto codes = at::empty({tokens, 2, heads, head_dim}, on_card.options().dtype(at::kFloat8_e4m3fn));
    by_card(codes.select(1, 1));
    rms_norm_rope_aten(here.select(1, 0), weight, angle.cos(), angle.sin(), here.select(1, 0));
    by_card(on_card.select(1, 0));
    if (tokens == 0) continue;
    EXPECT_LE(relative_to_largest(on_card.cpu().to(at::kFloat), here.to(at::kFloat)), rounding) << tokens;
    const auto expected = at::empty({tokens, heads, head_dim}, codes.options());
    attention_codes(on_card.select(1, 0), expected);
    EXPECT_TRUE(at::equal(codes.select(1, 1).view(at::kByte), expected.view(at::kByte))) << "codes of " << tokens;
  }
}

INSTANTIATE_TEST_SUITE_P(RmsNormRope, RmsNormRopeGpu,
                         testing::Combine(testing::Values(at::kFloat, at::kBFloat16, at::kHalf),
                                          testing::Values(128, 64, 48, 10, 320)));

}  // namespace
}  // namespace flux
