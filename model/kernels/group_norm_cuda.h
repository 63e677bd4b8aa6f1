#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "model/kernels/precision.h"

namespace flux {

/// Device memory of group_norm.h's arguments: maps are [pixels, channels], packed.
struct GroupNormMaps {
  const void* x;
  const float* offset;         // [channels], or nullptr
  const float *weight, *bias;  // [channels]
  void* out;
  double* partial;    // [group_norm_parts(pixels, channels), groups, 2]
  float* statistics;  // [groups, 2]
  Precision precision;
  int64_t pixels, channels, groups;  // channels at most 2048, divisible by groups
  bool silu;
};

/// Into how many parts the first pass cuts the pixels.
int64_t group_norm_parts(int64_t pixels, int64_t channels);

cudaError_t launch_group_norm(const GroupNormMaps& maps, cudaStream_t stream);

/// out = x + y + offset. Any of them may lie in the place of another.
struct AddedMaps {
  const void *x, *y;
  const float* offset;  // [channels]
  void* out;
  Precision precision;
  int64_t pixels, channels;
};

cudaError_t launch_add_with_offset(const AddedMaps& maps, cudaStream_t stream);

}  // namespace flux
