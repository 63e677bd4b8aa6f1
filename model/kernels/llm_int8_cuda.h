#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "model/kernels/precision.h"

namespace flux {

/// Device memory of llm_int8.h's arguments.
struct LlmInt8 {
  const void* x;  // [rows, width]
  Precision precision;
  int64_t stride;  // elements between rows
  int64_t rows, width;
  uint8_t* columns;  // [width]; or nullptr: no value is an outlier
};

/// Queued on the stream: ones where a column has outliers, and what else was there elsewhere.
cudaError_t launch_outlier_columns(const LlmInt8& arguments, cudaStream_t stream);

/// quantize_inliers queued on the stream. codes: [rows, width], packed; scales: [rows].
cudaError_t launch_quantize_inliers(const LlmInt8& arguments, int8_t* codes, float* scales, cudaStream_t stream);

}  // namespace flux
