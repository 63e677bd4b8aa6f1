#include "model/kernels/attention.h"

#include <cmath>

#include "built_with.h"
#include "model/kernels/attention_code_scale.h"
#include "model/kernels/attention_codes.h"
#include "model/kernels/cudnn_attention.h"

namespace flux {
namespace {

at::Tensor heads_first(const at::Tensor& x) { return x.transpose(0, 1).unsqueeze(0); }  // [1, heads, tokens, head_dim]

/// A CPU takes queries in blocks, and the few that are left by another routine, which sums in another order: a row's
/// result would depend on how many there are.
at::Tensor without_few_left(const at::Tensor& q) {
  constexpr int64_t whole = 8;  // divides every size of a block, and more than a matrix product takes apart
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

/// One head's: q: [rows, head_dim], k, v: [tokens, head_dim], codes as fp32.
at::Tensor of_head(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  constexpr double largest = attention_weight_scale, squared = attention_code_scale * attention_code_scale;
  const at::Tensor scores = at::mm(q, k.t()).mul_(1 / (squared * std::sqrt(static_cast<double>(q.size(1)))));
  const at::Tensor weights = scores.sub_(scores.amax(1, /*keepdim=*/true)).exp_();
  const at::Tensor sums = weights.sum(1, /*keepdim=*/true) * largest;
  return at::mm((weights * largest).to(at::kFloat8_e4m3fn).to(at::kFloat), v).div_(sums);
}

/// Of codes; but for the order of sums, which cuDNN takes a tile of keys at a time, its arithmetic.
void fp8_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& out) {
  const at::Tensor queries = without_few_left(q.to(at::kFloat));
  for (int64_t head = 0; head < q.size(1); ++head) {
    const auto codes = [&](const at::Tensor& x) { return x.select(1, head).to(at::kFloat).contiguous(); };
    out.select(1, head).copy_(of_head(codes(queries), codes(k), codes(v)).narrow(0, 0, q.size(0)));
  }
}

}  // namespace

const char* attention_library(const at::Tensor& q) { return by_cudnn(q) ? "cuDNN" : "ATen"; }

void attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& out) {
  if (q.size(0) == 0) return;
#if FLUX_CUDA
  if (by_cudnn(q)) return cudnn_attention(q, k, v, out);
#endif
  if (are_attention_codes(q)) return fp8_attention(q, k, v, out);
  const auto result =
      at::scaled_dot_product_attention(heads_first(without_few_left(q)), heads_first(k), heads_first(v));
  out.copy_(result.squeeze(0).transpose(0, 1).narrow(0, 0, q.size(0)));
}

}  // namespace flux
