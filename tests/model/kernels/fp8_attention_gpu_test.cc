#include <gtest/gtest.h>

#include "built_with.h"
#include "model/kernels/cudnn_attention.h"
#include "tests/model/comparison.h"
#include "tests/model/kernels/fp8_attention.h"

#if FLUX_CUDA
namespace flux {
namespace {

class AttentionCodesGpu : public testing::TestWithParam<at::ScalarType> {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  }
};

/// Codes and values, packed and among others, heads that come apart by rank, and widths that no vector divides.
TEST_P(AttentionCodesGpu, AreThoseOfTheirDefinition) {
  for (const int64_t head_dim : {128, 16, 6}) {
    const at::Tensor heads = 40 * at::randn({37, 2, 6, head_dim + 2}, at::dtype(GetParam()).device(at::kCUDA));
    const at::Tensor packed = heads.narrow(3, 0, head_dim).contiguous();
    for (const at::Tensor& x : {packed, packed.narrow(1, 1, 1), packed.unflatten(2, {3, 2}).movedim(2, 0)}) {
      const at::Tensor codes = at::empty(x.sizes(), x.options().dtype(at::kFloat8_e4m3fn)), host = codes.cpu();
      attention_codes(x, codes);
      attention_codes_aten(x.cpu(), host);
      EXPECT_TRUE(at::equal(codes.view(at::kByte).cpu(), host.view(at::kByte))) << head_dim;
      const at::Tensor values = at::zeros_like(packed);
      const at::Tensor there =
          x.dim() == 5 ? values.unflatten(2, {3, 2}).movedim(2, 0) : values.narrow(1, 0, x.size(1));
      attention_codes(codes, there);
      const at::Tensor expected = at::empty(x.sizes(), host.options().dtype(GetParam()));
      attention_codes_aten(host, expected);
      EXPECT_TRUE(at::allclose(there.cpu(), expected, 0, 0, /*equal_nan=*/true)) << head_dim;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, AttentionCodesGpu, testing::Values(at::kFloat, at::kBFloat16, at::kHalf));

class Fp8AttentionGpu : public testing::Test {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
    if (!cudnn_attends(at::empty({1, 1, 128}, at::dtype(at::kFloat8_e4m3fn).device(at::kCUDA))))
      GTEST_SKIP() << "no attention in fp8 on this card";
  }

  static at::Tensor codes(int64_t tokens, int64_t heads, int64_t head_dim) {
    return attention_codes_of(at::randn({tokens, heads, head_dim}, at::device(at::kCUDA)));
  }
};

TEST_F(Fp8AttentionGpu, LosesWhatRoundingTwiceToE4m3Loses) {
  for (const int64_t head_dim : {64, 128}) {
    const at::Tensor q = codes(300, 4, head_dim), k = codes(500, 4, head_dim), v = codes(500, 4, head_dim);
    const double error = relative_rms(values_of(attended_in_fp8(q, k, v)).to(at::kDouble), exact_attention(q, k, v));
    EXPECT_GT(error, fp8_attention_loses_least) << head_dim;
    EXPECT_LT(error, fp8_attention_loses_most) << head_dim;
  }
}

/// However ranks share rows, and where heads come in halves.
TEST_F(Fp8AttentionGpu, NoRowAndNoHeadDependsOnOthers) {
  const at::Tensor q = codes(4608, 24, 128), k = codes(4608, 24, 128), v = codes(4608, 24, 128);
  const at::Tensor all = attended_in_fp8(q, k, v).view(at::kByte);
  for (const int64_t rows : {2304, 2816, 1536, 1152, 922, 576, 288, 1}) {
    const auto some = [&](const at::Tensor& x) { return x.narrow(0, 4608 - rows, rows); };
    EXPECT_TRUE(at::equal(attended_in_fp8(some(q), k, v).view(at::kByte), some(all))) << rows << " rows";
    const auto half = [](const at::Tensor& x) { return x.narrow(1, 12, 12); };
    EXPECT_TRUE(at::equal(attended_in_fp8(some(half(q)), half(k), half(v)).view(at::kByte), some(half(all))))
        << "half of " << rows << " rows";
  }
}

TEST_F(Fp8AttentionGpu, WhatIsNoNumberStaysNone) {
  for (const int which : {0, 1, 2}) {
    at::Tensor of[] = {at::randn({64, 2, 128}, at::device(at::kCUDA)), at::randn({200, 2, 128}, at::device(at::kCUDA)),
                       at::randn({200, 2, 128}, at::device(at::kCUDA))};
    of[which][13][1][5] = 1e4;
    const at::Tensor out =
        values_of(attended_in_fp8(attention_codes_of(of[0]), attention_codes_of(of[1]), attention_codes_of(of[2])));
    EXPECT_TRUE(out[13][1].isnan().any().item<bool>()) << "of queries, keys or values: " << which;
    EXPECT_TRUE(out.select(1, 0).isfinite().all().item<bool>()) << which;
  }
}

}  // namespace
}  // namespace flux
#endif
