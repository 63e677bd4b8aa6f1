#include "model/kernels/rms_norm_rope.h"

#include "built_with.h"

#if FLUX_CUDA
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "model/kernels/dispatch.h"
#include "model/kernels/rms_norm_rope_cuda.h"
#endif

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

#if FLUX_CUDA
namespace {

void rms_norm_rope_cuda(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& cos, const at::Tensor& sin) {
  TORCH_CHECK(x.stride(2) == 1 && x.stride(1) == x.size(2), "heads must be packed");
  TORCH_CHECK(cos.is_contiguous() && sin.is_contiguous() && weight.is_contiguous(), "tables must be contiguous");
  const c10::cuda::CUDAGuard device(x.device());
  C10_CUDA_CHECK(launch_rms_norm_rope({.values = x.data_ptr(),
                                       .precision = precision_of(x),
                                       .tokens = x.size(0),
                                       .heads = x.size(1),
                                       .head_dim = x.size(2),
                                       .token_stride = x.stride(0)},
                                      weight.const_data_ptr<float>(), cos.const_data_ptr<float>(),
                                      sin.const_data_ptr<float>(), c10::cuda::getCurrentCUDAStream()));
}

}  // namespace
#endif

void rms_norm_rope(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& cos, const at::Tensor& sin) {
#if FLUX_CUDA
  if (x.is_cuda()) return rms_norm_rope_cuda(x, weight, cos, sin);
#endif
  rms_norm_rope_aten(x, weight, cos, sin);
}

}  // namespace flux
