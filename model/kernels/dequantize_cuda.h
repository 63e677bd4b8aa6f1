#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "model/kernels/precision.h"

namespace flux {

/// Device memory of dequantize.h's arguments.
struct Dequantize {
  const void* codes;  // [rows, width]
  EightBit code;
  const float* scales;  // [rows]
  void* out;            // [rows / together, together, width], of `precision`
  Precision precision;
  int64_t stride;       // elements between what lies together in out
  int64_t together;     // rows that are packed
  int64_t rows, width;  // at most 2^31 values
};

/// dequantize queued on the stream.
cudaError_t launch_dequantize(const Dequantize& arguments, cudaStream_t stream);

}  // namespace flux
