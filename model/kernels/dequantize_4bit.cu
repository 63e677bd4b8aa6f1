#include <cstdint>

#include "model/kernels/dequantize_4bit_cuda.h"
#include "model/kernels/vector.cuh"

namespace flux {
namespace {

constexpr int word = 8;         // values of 4 bytes of codes, which a thread widens at once
constexpr int words_each = 4;   // of a thread: as many loads travel at once
constexpr int block_words = 8;  // of one absmax
constexpr int nested_block = 256;

__device__ float absmax_of(const Dequantize4bit& a, int64_t block) {
  if (a.absmax != nullptr) return a.absmax[block];
  const float shared = a.map_absmax[(a.blocks_before + block) / nested_block];
  return __fadd_rn(__fmul_rn(a.map[a.nested[block]], shared), *a.offset);
}

/// A block of threads does neighbouring words, so that the lines of memory that it reads and writes are whole.
template <typename T>
__global__ void dequantize_4bit(const __grid_constant__ Dequantize4bit a, int64_t words) {
  __shared__ float codebook[16];  // in as many banks
  if (threadIdx.x < 16) codebook[threadIdx.x] = a.codebook[threadIdx.x];
  __syncthreads();

  const int64_t first = static_cast<int64_t>(blockIdx.x) * (threads * words_each) + threadIdx.x;
  uint32_t codes[words_each];
  float scale[words_each];
#pragma unroll
  for (int i = 0; i < words_each; ++i) {
    const int64_t at = first + i * threads;
    if (at >= words) break;
    codes[i] = reinterpret_cast<const uint32_t*>(a.codes)[at];
    scale[i] = absmax_of(a, at / block_words);
  }
#pragma unroll
  for (int i = 0; i < words_each; ++i) {
    const int64_t at = first + i * threads;
    if (at >= words) break;
    Vector<T, word> values;
#pragma unroll
    for (int k = 0; k < word; ++k) {  // the first value lies in the upper half of the lowest byte
      const uint32_t code = codes[i] >> (8 * (k / 2) + (k % 2 == 0 ? 4 : 0)) & 0xF;
      values.values[k] = static_cast<T>(__fmul_rn(codebook[code], scale[i]));
    }
    store(static_cast<T*>(a.out) + at * word, values);
  }
}

template <typename T>
cudaError_t launch(const Dequantize4bit& a, cudaStream_t stream) {
  const int64_t words = a.rows * a.width / word;
  if (words == 0) return cudaSuccess;
  if (!aligned(a.codes, sizeof(uint32_t)) || !aligned(a.out, word * sizeof(T))) return cudaErrorMisalignedAddress;
  constexpr int64_t each = threads * words_each;
  dequantize_4bit<T><<<static_cast<unsigned>((words + each - 1) / each), threads, 0, stream>>>(a, words);
  return cudaGetLastError();
}

}  // namespace

cudaError_t launch_dequantize_4bit(const Dequantize4bit& arguments, cudaStream_t stream) {
  return with_type(arguments.precision, [&](auto type) { return launch<decltype(type)>(arguments, stream); });
}

}  // namespace flux
