#include "model/kernels/rms_norm_rope.h"

namespace flux {

void rms_norm_rope_aten(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& cos, const at::Tensor& sin) {
  const auto normed = at::rms_norm(x.to(at::kFloat), {x.size(-1)}, weight, 1e-6);
  const auto pairs = normed.unflatten(-1, {-1, 2});  // [tokens, heads, head_dim / 2, 2]
  const auto a = pairs.select(-1, 0);
  const auto b = pairs.select(-1, 1);
  const auto c = cos.unsqueeze(1);  // the same for every head
  const auto s = sin.unsqueeze(1);
  x.copy_(at::stack({a * c - b * s, b * c + a * s}, -1).flatten(-2));
}

void rms_norm_rope(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& cos, const at::Tensor& sin) {
  rms_norm_rope_aten(x, weight, cos, sin);
}

}  // namespace flux
