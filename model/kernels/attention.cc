#include "model/kernels/attention.h"

#include "built_with.h"
#include "model/kernels/cudnn_attention.h"

namespace flux {
namespace {

at::Tensor heads_first(const at::Tensor& x) { return x.transpose(0, 1).unsqueeze(0); }  // [1, heads, tokens, head_dim]

/// A CPU takes queries in blocks, and the few that are left by another routine, which sums in another order: a row's
/// result would depend on how many there are.
at::Tensor without_few_left(const at::Tensor& q) {
  constexpr int64_t whole = 8;  // divides every size of a block
  const int64_t left = q.size(0) % whole;
  return q.is_cpu() && left != 0 ? at::constant_pad_nd(q, {0, 0, 0, 0, 0, whole - left}) : q;
}

bool by_cudnn([[maybe_unused]] const at::Tensor& q) {
#if FLUX_CUDA
  return q.is_cuda() && cudnn_attends(q);
#else
  return false;
#endif
}

}  // namespace

const char* attention_library(const at::Tensor& q) { return by_cudnn(q) ? "cuDNN" : "ATen"; }

void attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& out) {
  if (q.size(0) == 0) return;
#if FLUX_CUDA
  if (by_cudnn(q)) return cudnn_attention(q, k, v, out);
#endif
  const auto result =
      at::scaled_dot_product_attention(heads_first(without_few_left(q)), heads_first(k), heads_first(v));
  out.copy_(result.squeeze(0).transpose(0, 1).narrow(0, 0, q.size(0)));
}

}  // namespace flux
