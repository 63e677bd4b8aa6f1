#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <cstdint>

#include "model/kernels/precision.h"

namespace flux {

/// Device memory of dequantize_4bit.h's arguments: rows that begin anywhere within a matrix.
struct Dequantize4bit {
  const uint8_t* codes;               // [rows, width / 2], of the first row
  const float* absmax = nullptr;      // [rows, width / 64], of the first row; or null, and all that follow are not:
  const uint8_t* nested = nullptr;    // codes of the same
  const float* offset = nullptr;      // [1]
  const float* map = nullptr;         // [256]
  const float* map_absmax = nullptr;  // [absmax / 256] of the whole matrix
  int64_t blocks_before;              // of 64 values: of the matrix before the first row
  std::array<float, 16> codebook;
  void* out;  // [rows, width], of `precision`
  Precision precision;
  int64_t rows, width;
};

/// dequantize_4bit queued on the stream. Codes must lie at a multiple of 4 bytes, `out` of 8 values.
cudaError_t launch_dequantize_4bit(const Dequantize4bit& arguments, cudaStream_t stream);

}  // namespace flux
