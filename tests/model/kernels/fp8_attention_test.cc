#include "tests/model/kernels/fp8_attention.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/model/comparison.h"

namespace flux {
namespace {

TEST(AttentionCodes, RoundFourTimesTheValueToE4m3) {
  const float infinity = std::numeric_limits<float>::infinity();
  const at::Tensor values = at::tensor({1.0F, 1.0625F, 1.09F, 1.1F, -3.9F, 112.0F, 116.0F, 117.0F, -1e6F, infinity,
                                        std::nanf(""), 0x1p-11F, 0x1p-13F, 0.0F})
                                .view({1, 1, 14});
  const at::Tensor back = values_of(attention_codes_of(values)).flatten();
  // Eighths of a power of two, halves to even; steps of 2^-11 below 2^-8.
  const at::Tensor expected = at::tensor({1.0F, 1.0F, 1.125F, 1.125F, -4.0F, 112.0F, 112.0F});
  EXPECT_TRUE(at::equal(back.narrow(0, 0, 7), expected)) << back;
  EXPECT_TRUE(back.narrow(0, 7, 4).isnan().all().item<bool>()) << "what is too large, or not finite, is no number";
  EXPECT_TRUE(at::equal(back.narrow(0, 11, 3), at::tensor({0x1p-11F, 0.0F, 0.0F}))) << back;
}

TEST(Fp8Attention, LosesWhatRoundingTwiceToE4m3Loses) {
  const auto codes = [](int64_t tokens) { return attention_codes_of(at::randn({tokens, 4, 64})); };
  const at::Tensor q = codes(300), k = codes(500), v = codes(500);
  const double error = relative_rms(values_of(attended_in_fp8(q, k, v)).to(at::kDouble), exact_attention(q, k, v));
  EXPECT_GT(error, fp8_attention_loses_least);
  EXPECT_LT(error, fp8_attention_loses_most);
}

TEST(Fp8Attention, NoRowDependsOnOthers) {
  const auto codes = [](int64_t tokens) { return attention_codes_of(at::randn({tokens, 3, 16})); };
  const at::Tensor q = codes(200), k = codes(333), v = codes(333), all = values_of(attended_in_fp8(q, k, v));
  for (const int64_t rows : {1, 2, 3, 5, 7, 8, 13, 50, 199})
    EXPECT_TRUE(
        at::equal(values_of(attended_in_fp8(q.narrow(0, 200 - rows, rows), k, v)), all.narrow(0, 200 - rows, rows)))
        << rows << " rows";
}

}  // namespace
}  // namespace flux
