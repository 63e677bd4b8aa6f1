#pragma once

#include <ATen/ATen.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "model/kernels/dispatch.h"
#include "model/kernels/quantize_rows_cuda.h"
#include "model/linear/activation.h"

namespace flux {

/// A kernel that rounds rows to int8, on ATen's current stream of their card.
inline void launch_rows(cudaError_t (*kernel)(const QuantizeRows&, cudaStream_t), const at::Tensor& x,
                        const Activation& out) {
  const bool packed = x.stride(-1) == 1 && (x.dim() == 2 || x.stride(1) == x.size(2)) && out.values.is_contiguous();
  TORCH_CHECK(packed && out.values.numel() == x.numel() && out.scales.numel() * x.size(-1) == x.numel(),
              "as many codes as values, and a scale a row, all packed");
  const c10::cuda::CUDAGuard device(x.device());
  C10_CUDA_CHECK(kernel({.x = x.const_data_ptr(),
                         .precision = precision_of(x),
                         .stride = x.stride(0),
                         .together = x.dim() == 2 ? 1 : x.size(1),
                         .codes = out.values.mutable_data_ptr<int8_t>(),
                         .scales = out.scales.mutable_data_ptr<float>(),
                         .rows = out.rows(),
                         .width = x.size(-1)},
                        c10::cuda::getCurrentCUDAStream()));
}

}  // namespace flux
