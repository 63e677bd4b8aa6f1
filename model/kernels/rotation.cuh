#pragma once

#include "model/kernels/rotation.h"
#include "model/kernels/vector.cuh"

namespace flux {

constexpr int kept = 4;  // vectors of a row that a thread holds, blockDim.x vectors apart
constexpr int most_threads = 512;

/// As many threads as hold a row of so many vectors, in whole warps.
inline int64_t threads_for(int64_t vectors) { return ((vectors + kept - 1) / kept + warp - 1) / warp * warp; }

/// As warp_largest, of all threads.
__device__ inline unsigned block_largest(unsigned value) {
  __shared__ unsigned of_warps[most_threads / warp];
  value = warp_largest(value);
  if (threadIdx.x % warp == 0) of_warps[threadIdx.x / warp] = value;
  __syncthreads();
  unsigned largest = 0;
  for (int i = 0; i < blockDim.x / warp; ++i) largest = max(largest, of_warps[i]);
  __syncthreads();
  return largest;
}

/// Rotates eight neighbours of each lane, blocks of `block` columns lying in neighbouring lanes. Every lane calls it,
/// those past the end of a row too.
__device__ inline void rotate(float (&v)[8], int block) {
  constexpr auto words = rotation_signs;
  const int lane = threadIdx.x % (block / 8);  // of the block
  const uint32_t signs = words[lane / 4] >> (lane % 4 * 8);
#pragma unroll
  for (int i = 0; i < 8; ++i) v[i] = (signs >> i & 1) != 0 ? -v[i] : v[i];
#pragma unroll
  for (int distance = 1; distance < 8; distance *= 2) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      if ((i & distance) != 0) continue;
      const float a = v[i], b = v[i + distance];
      v[i] = a + b;
      v[i + distance] = a - b;
    }
  }
  for (int distance = 1; distance < block / 8; distance *= 2) {
    const float own = (lane & distance) != 0 ? -1 : 1;  // the second of a pair is what is taken away
#pragma unroll
    for (int i = 0; i < 8; ++i) v[i] = fmaf(own, v[i], __shfl_xor_sync(0xffffffff, v[i], distance));
  }
}

/// Rotates a row that the block's threads hold (zeros past its end), and writes its codes and its scale.
__device__ inline void rotate_and_store(float (&values)[kept][8], int64_t width, int block, int8_t* codes,
                                        float* scale) {
  unsigned largest = 0;
#pragma unroll
  for (int k = 0; k < kept; ++k) {
    rotate(values[k], block);
#pragma unroll
    for (int i = 0; i < 8; ++i) largest = max(largest, __float_as_uint(fabsf(values[k][i])));
  }
  const float absmax = __uint_as_float(block_largest(largest));
  const float inverse = absmax == 0 ? 0 : __fdiv_rn(127.0F, absmax);
  if (threadIdx.x == 0) *scale = __fdiv_rn(absmax, 127.0F);
#pragma unroll
  for (int k = 0; k < kept; ++k) {
    const int64_t at = (threadIdx.x + static_cast<int64_t>(k) * blockDim.x) * 8;
    if (at >= width) continue;
    Vector<int8_t, 8> result;
#pragma unroll
    for (int i = 0; i < 8; ++i)
      result.values[i] = static_cast<int8_t>(max(-127, min(127, __float2int_rn(values[k][i] * inverse))));
    store(codes + at, result);
  }
}

}  // namespace flux
