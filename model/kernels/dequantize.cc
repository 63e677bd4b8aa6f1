#include "model/kernels/dequantize.h"

#include "built_with.h"

#if FLUX_CUDA
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "model/kernels/dequantize_cuda.h"
#include "model/kernels/dispatch.h"
#endif

namespace flux {

void dequantize_aten(const Activation& codes, const at::Tensor& out) {
  out.copy_((codes.values.to(at::kFloat) * codes.scales.unsqueeze(1)).view(out.sizes()));
}

void dequantize(const Activation& codes, const at::Tensor& out) {
#if FLUX_CUDA
  if (out.is_cuda()) {
    const c10::cuda::CUDAGuard device(out.device());
    C10_CUDA_CHECK(launch_dequantize({.codes = codes.values.const_data_ptr(),
                                      .code = eight_bit_of(codes.values),
                                      .scales = codes.scales.const_data_ptr<float>(),
                                      .out = out.data_ptr(),
                                      .precision = precision_of(out),
                                      .stride = out.stride(0),
                                      .together = rows_together(out, codes),
                                      .rows = codes.rows(),
                                      .width = out.size(-1)},
                                     c10::cuda::getCurrentCUDAStream()));
    return;
  }
#endif
  dequantize_aten(codes, out);
}

}  // namespace flux
