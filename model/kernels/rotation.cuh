#pragma once

#include <type_traits>

#include "model/kernels/codes.cuh"
#include "model/kernels/rotation.h"
#include "model/kernels/vector.cuh"

namespace flux {

constexpr int kept = 4;   // vectors of a row that a thread holds
constexpr int lanes = 8;  // threads whose vectors lie beside each other
constexpr int most_threads = 512;

/// As many threads as hold a row of so many vectors, in whole warps.
inline int64_t threads_for(int64_t vectors) {
  const int64_t groups = (vectors + lanes * kept - 1) / (lanes * kept);
  return (groups * lanes + warp - 1) / warp * warp;
}

/// Where a thread's vector k of N neighbours begins: with vectors of eight, `lanes` threads hold 256 columns, and each
/// load of theirs is of whole lines of memory.
template <int N>
__device__ inline int64_t column(int k) {
  return (static_cast<int64_t>(threadIdx.x / lanes * kept + k) * lanes + threadIdx.x % lanes) * N;
}

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

/// The butterflies of two registers.
__device__ inline void add_and_subtract(float& a, float& b) {
  const float sum = a + b;
  b = a - b;
  a = sum;
}

/// Rotates a row of vectors of eight that the threads hold, in blocks of `block` columns, of which there is a whole
/// number in 256. Every thread calls it, those past the end of a row too. Bits 0 to 2 of a column within 256 are the
/// place in a vector, bits 3 to 5 the lane, and bits 6 and 7 the vector.
__device__ inline void rotate(float (&v)[kept][8], int block) {
  constexpr auto words = rotation_signs;
  const int lane = static_cast<int>(threadIdx.x) % lanes;
#pragma unroll
  for (int k = 0; k < kept; ++k) {
    const int first = (k * lanes + lane) * 8 % block;
    const uint32_t signs = words[first / 32] >> (first % 32);
#pragma unroll
    for (int i = 0; i < 8; ++i) v[k][i] = __uint_as_float(__float_as_uint(v[k][i]) ^ (signs << (31 - i) & 0x80000000U));
#pragma unroll
    for (int distance = 1; distance < 8; distance *= 2)
#pragma unroll
      for (int i = 0; i < 8; ++i)
        if ((i & distance) == 0) add_and_subtract(v[k][i], v[k][i + distance]);
  }
#pragma unroll
  for (int distance = 1; distance < lanes; distance *= 2) {
    if (distance * 8 >= block) continue;
    const float own = (lane & distance) != 0 ? -1 : 1;  // the second of a pair is what is taken away
#pragma unroll
    for (int k = 0; k < kept; ++k)
#pragma unroll
      for (int i = 0; i < 8; ++i) v[k][i] = fmaf(own, v[k][i], __shfl_xor_sync(0xffffffff, v[k][i], distance));
  }
#pragma unroll
  for (int distance = 1; distance < kept; distance *= 2) {
    if (distance * 8 * lanes >= block) continue;
#pragma unroll
    for (int k = 0; k < kept; ++k)
#pragma unroll
      for (int i = 0; i < 8; ++i)
        if ((k & distance) == 0) add_and_subtract(v[k][i], v[k + distance][i]);
  }
}

/// Writes codes and scale of a row that the block's threads hold (zeros past its end): int8's rotated, in blocks of
/// `block` columns.
template <typename Code>
__device__ void quantize_and_store(float (&values)[kept][8], int64_t width, int block, Code* codes, float* scale) {
  if constexpr (std::is_same_v<Code, int8_t>) rotate(values, block);
  unsigned largest = 0;
#pragma unroll
  for (int k = 0; k < kept; ++k) {
#pragma unroll
    for (int i = 0; i < 8; ++i) largest = max(largest, __float_as_uint(fabsf(values[k][i])));
  }
  const float absmax = __uint_as_float(block_largest(largest));
  const float inverse = inverse_scale<Code>(absmax);
  if (threadIdx.x == 0) *scale = __fdiv_rn(absmax, largest_code<Code>);
#pragma unroll
  for (int k = 0; k < kept; ++k)
    if (column<8>(k) < width) store(codes + column<8>(k), codes_of<Code>(values[k], inverse));
}

}  // namespace flux
