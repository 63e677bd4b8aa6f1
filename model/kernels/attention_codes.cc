#include "model/kernels/attention_codes.h"

#include "built_with.h"
#include "model/kernels/attention_code_scale.h"

#if FLUX_CUDA
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "model/kernels/attention_codes_cuda.h"
#include "model/kernels/dispatch.h"
#endif

namespace flux {

#if FLUX_CUDA
namespace {

/// [3 dimensions, width]: heads are one row, and missing dimensions come first.
at::Tensor as_rows(const at::Tensor& x) {
  TORCH_CHECK(x.dim() <= 5 && x.stride(-1) == 1 && x.stride(-2) == x.size(-1), "heads must be packed");
  at::Tensor rows = x.flatten(-2);
  while (rows.dim() < 4) rows = rows.unsqueeze(0);
  return rows;
}

void attention_codes_cuda(const at::Tensor& from, const at::Tensor& to) {
  const at::Tensor x = as_rows(from), y = as_rows(to);
  TORCH_CHECK(x.sizes() == y.sizes(), "as many codes as values");
  ValuesAndCodes rows{.from = x.const_data_ptr(),
                      .to = y.data_ptr(),
                      .precision = precision_of(are_attention_codes(x) ? y : x),
                      .width = x.size(3)};
  for (int64_t dim = 0; dim < 3; ++dim) {
    rows.sizes[dim] = x.size(dim);
    rows.from_strides[dim] = x.stride(dim);
    rows.to_strides[dim] = y.stride(dim);
  }
  const c10::cuda::CUDAGuard device(x.device());
  const auto launch = are_attention_codes(x) ? launch_from_attention_codes : launch_to_attention_codes;
  C10_CUDA_CHECK(launch(rows, c10::cuda::getCurrentCUDAStream()));
}

}  // namespace
#endif

void attention_codes_aten(const at::Tensor& from, const at::Tensor& to) {
  if (are_attention_codes(from) == are_attention_codes(to))
    to.copy_(from);
  else if (are_attention_codes(to))
    to.copy_(from.to(at::kFloat) * attention_code_scale);
  else
    to.copy_(from.to(at::kFloat) / attention_code_scale);
}

void attention_codes(const at::Tensor& from, const at::Tensor& to) {
#if FLUX_CUDA
  if (from.is_cuda() && are_attention_codes(from) != are_attention_codes(to)) return attention_codes_cuda(from, to);
#endif
  attention_codes_aten(from, to);
}

}  // namespace flux
