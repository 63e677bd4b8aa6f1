#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "model/kernels/precision.h"

namespace flux {

/// Device memory of the arguments of quantize_rows.h and quantize_operand.h.
struct QuantizeRows {
  const void* x;  // [rows / together, together, width]
  Precision precision;
  int64_t stride;    // elements between what lies together in x
  int64_t together;  // rows that are packed
  void* codes;       // [rows, width], packed
  EightBit code;
  float* scales;  // [rows]
  int64_t rows, width;
};

/// quantize_rows queued on the stream.
cudaError_t launch_quantize_rows(const QuantizeRows& arguments, cudaStream_t stream);

/// quantize_operand queued on the stream. x and codes are aligned to vectors of eight, width is a multiple of 16 and at
/// most 16384.
cudaError_t launch_quantize_operand(const QuantizeRows& arguments, cudaStream_t stream);

}  // namespace flux
