#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "model/kernels/precision.h"

namespace flux {

/// Device memory of rotate_quantize.h's arguments, aligned to vectors of eight.
struct RotateQuantize {
  const void* x;  // [rows, width]
  Precision precision;
  int64_t stride;       // elements between rows of x
  int8_t* codes;        // [rows, width], packed
  float* scales;        // [rows]
  int64_t rows, width;  // width: a multiple of 16, at most 16384
};

/// rotate_quantize queued on the stream.
cudaError_t launch_rotate_quantize(const RotateQuantize& arguments, cudaStream_t stream);

}  // namespace flux
