#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "model/kernels/precision.h"

namespace flux {

/// Device memory [tokens, heads, head_dim], heads packed.
struct HeadsOnDevice {
  void* values;
  Precision precision;
  int64_t tokens, heads, head_dim;
  int64_t token_stride;  // elements
};

/// Where they go: the same place, or that of their codes, heads packed.
struct HeadsOut {
  void* values;
  bool codes;
  int64_t token_stride;
};

/// rms_norm_rope (see rms_norm_rope.h) queued on the stream. All pointers are to device memory.
cudaError_t launch_rms_norm_rope(const HeadsOnDevice& x, const float* weight, const float* cos, const float* sin,
                                 const HeadsOut& out, cudaStream_t stream);

}  // namespace flux
