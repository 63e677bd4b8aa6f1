#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "model/kernels/precision.h"

namespace flux {

/// Device memory of residual_norm.h's arguments: rows packed, all pointers aligned as their dtype asks.
struct ResidualNorm {
  void* residual;               // [rows, d]; only read without y
  const void* y = nullptr;      // [rows, d], of the residual's precision
  const float* gate = nullptr;  // [d], with y
  const float *shift, *scale;   // [d]
  void* out;                    // [rows, d], of out_precision
  float* out_scales = nullptr;  // [rows]: out is of `code` then, as quantize_operand.h says; d a multiple of 16
  EightBit code = EightBit::int8;
  Precision residual_precision;  // fp32, or that of out
  Precision out_precision;
  int64_t rows, d;  // d at most 16384 in eights, 4096 otherwise
};

/// modulated_norm or, with y, add_and_norm (see residual_norm.h) queued on the stream.
cudaError_t launch_residual_norm(const ResidualNorm& arguments, cudaStream_t stream);

}  // namespace flux
