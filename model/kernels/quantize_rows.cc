#include "model/kernels/quantize_rows.h"

#include "built_with.h"

#if FLUX_CUDA
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "model/kernels/dispatch.h"
#include "model/kernels/quantize_rows_cuda.h"
#endif

namespace flux {

void quantize_rows_aten(const at::Tensor& x, const Activation& out) {
  if (x.size(0) == 0) return;
  const auto rows = x.to(at::kFloat);
  const auto largest = rows.abs().amax(1);
  const auto most = at::full_like(largest, 127);  // a tensor: by a scalar ATen divides through its reciprocal
  out.scales.copy_(largest / most);
  const auto inverse = at::where(largest == 0, 0, most / largest);
  out.values.copy_((rows * inverse.unsqueeze(1)).round().nan_to_num(0, 127, -127).clamp(-127, 127));
}

void quantize_rows(const at::Tensor& x, const Activation& out) {
#if FLUX_CUDA
  if (x.is_cuda()) {
    TORCH_CHECK(x.stride(1) == 1 && out.values.is_contiguous(), "values of a row, and rows of codes, must be packed");
    const c10::cuda::CUDAGuard device(x.device());
    C10_CUDA_CHECK(launch_quantize_rows({.x = x.const_data_ptr(),
                                         .precision = precision_of(x),
                                         .stride = x.stride(0),
                                         .codes = out.values.mutable_data_ptr<int8_t>(),
                                         .scales = out.scales.mutable_data_ptr<float>(),
                                         .rows = x.size(0),
                                         .width = x.size(1)},
                                        c10::cuda::getCurrentCUDAStream()));
    return;
  }
#endif
  quantize_rows_aten(x, out);
}

}  // namespace flux
