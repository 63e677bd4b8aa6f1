#pragma once

#include <ATen/ATen.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "model/kernels/dispatch.h"
#include "model/kernels/quantize_rows_cuda.h"
#include "model/linear/activation.h"

namespace flux {

/// A kernel that rounds rows to codes, on ATen's current stream of their card.
inline void launch_rows(cudaError_t (*kernel)(const QuantizeRows&, cudaStream_t), const at::Tensor& x,
                        const Activation& out) {
  const c10::cuda::CUDAGuard device(x.device());
  C10_CUDA_CHECK(kernel({.x = x.const_data_ptr(),
                         .precision = precision_of(x),
                         .stride = x.stride(0),
                         .together = rows_together(x, out),
                         .codes = out.values.mutable_data_ptr(),
                         .code = eight_bit_of(out.values),
                         .scales = out.scales.mutable_data_ptr<float>(),
                         .rows = out.rows(),
                         .width = x.size(-1)},
                        c10::cuda::getCurrentCUDAStream()));
}

}  // namespace flux
