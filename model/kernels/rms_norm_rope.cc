#include "model/kernels/rms_norm_rope.h"

#include "built_with.h"
#include "model/kernels/attention_codes.h"

#if FLUX_CUDA
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "model/kernels/dispatch.h"
#include "model/kernels/rms_norm_rope_cuda.h"
#endif

namespace flux {

void rms_norm_rope_aten(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& cos, const at::Tensor& sin,
                        const at::Tensor& out) {
  const auto normed = at::rms_norm(x.to(at::kFloat), {x.size(-1)}, weight, 1e-6);
  const auto pairs = normed.unflatten(-1, {-1, 2});  // [tokens, heads, head_dim / 2, 2]
  const auto a = pairs.select(-1, 0);
  const auto b = pairs.select(-1, 1);
  const auto c = cos.unsqueeze(1);  // the same for every head
  const auto s = sin.unsqueeze(1);
  attention_codes_aten(at::stack({a * c - b * s, b * c + a * s}, -1).flatten(-2).to(x.scalar_type()), out);
}

#if FLUX_CUDA
namespace {

void rms_norm_rope_cuda(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& cos, const at::Tensor& sin,
                        const at::Tensor& out) {
  const auto packed = [](const at::Tensor& heads) { return heads.stride(2) == 1 && heads.stride(1) == heads.size(2); };
  TORCH_CHECK(packed(x) && packed(out) && out.sizes() == x.sizes(), "heads must be packed");
  TORCH_CHECK(cos.is_contiguous() && sin.is_contiguous() && weight.is_contiguous(), "tables must be contiguous");
  const c10::cuda::CUDAGuard device(x.device());
  C10_CUDA_CHECK(
      launch_rms_norm_rope({.values = x.data_ptr(),
                            .precision = precision_of(x),
                            .tokens = x.size(0),
                            .heads = x.size(1),
                            .head_dim = x.size(2),
                            .token_stride = x.stride(0)},
                           weight.const_data_ptr<float>(), cos.const_data_ptr<float>(), sin.const_data_ptr<float>(),
                           {.values = out.data_ptr(), .codes = are_attention_codes(out), .token_stride = out.stride(0)},
                           c10::cuda::getCurrentCUDAStream()));
}

}  // namespace
#endif

void rms_norm_rope(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& cos, const at::Tensor& sin,
                   const at::Tensor& out) {
#if FLUX_CUDA
  if (x.is_cuda()) return rms_norm_rope_cuda(x, weight, cos, sin, out);
#endif
  rms_norm_rope_aten(x, weight, cos, sin, out);
}

}  // namespace flux
