#include <gtest/gtest.h>

#include <cmath>

#include "built_with.h"
#include "model/kernels/attention.h"
#include "model/kernels/cudnn_attention.h"
#include "tests/model/comparison.h"

#if FLUX_CUDA
namespace flux {
namespace {

class AttentionGpu : public testing::TestWithParam<at::ScalarType> {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
    options_ = at::dtype(GetParam()).device(at::kCUDA);
  }

  /// [tokens, heads, head_dim] with columns beside it, as the buffers of a step have them.
  at::Tensor among_others(int64_t tokens, int64_t heads, int64_t head_dim) const {
    return at::randn({tokens, heads * head_dim + 64}, options_)
        .narrow(1, 64, heads * head_dim)
        .unflatten(1, {heads, -1});
  }

  static at::Tensor attended(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
    const int64_t width = q.size(1) * q.size(2);
    const at::Tensor buffer = at::full({q.size(0), width + 128}, 7, q.options());
    const at::Tensor out = buffer.narrow(1, 64, width).unflatten(1, {q.size(1), -1});
    attention(q, k, v, out);
    EXPECT_TRUE((buffer.narrow(1, 0, 64) == 7).all().item<bool>());
    EXPECT_TRUE((buffer.narrow(1, width + 64, 64) == 7).all().item<bool>());
    return out;
  }

  at::TensorOptions options_;
};

/// As near to fp64 as values and weights that are rounded once let it be.
TEST_P(AttentionGpu, IsThatOfItsDefinition) {
  const double rounding = GetParam() == at::kHalf ? 0x1p-11 : 0x1p-8;
  for (const int64_t head_dim : {16, 64, 128}) {
    const auto q = among_others(200, 3, head_dim), k = among_others(333, 3, head_dim),
               v = among_others(333, 3, head_dim);
    const auto of = [](const at::Tensor& x) { return x.to(at::kDouble).transpose(0, 1); };
    const auto weights =
        at::softmax(at::matmul(of(q), of(k).transpose(1, 2)) / std::sqrt(static_cast<double>(head_dim)), 2);
    const auto exact = at::matmul(weights, of(v)).transpose(0, 1);
    EXPECT_LE(relative_to_largest(attended(q, k, v).to(at::kDouble), exact), 2 * rounding) << head_dim;
  }
}

/// However ranks share rows, and where heads come in halves.
TEST_P(AttentionGpu, NoRowAndNoHeadDependsOnOthers) {
  const auto q = among_others(4608, 24, 128), k = among_others(4608, 24, 128), v = among_others(4608, 24, 128);
  const auto all = attended(q, k, v);
  for (const int64_t rows : {2304, 2816, 1536, 1152, 922, 576, 288, 1}) {
    const auto some = [&](const at::Tensor& x) { return x.narrow(0, 4608 - rows, rows); };
    EXPECT_TRUE(at::equal(attended(some(q), k, v), some(all))) << rows << " rows";
    const auto half = [](const at::Tensor& x) { return x.narrow(1, 12, 12); };
    EXPECT_TRUE(at::equal(attended(some(half(q)), half(k), half(v)), some(half(all)))) << "half of " << rows << " rows";
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, AttentionGpu, testing::Values(at::kBFloat16, at::kHalf));

}  // namespace
}  // namespace flux
#endif
