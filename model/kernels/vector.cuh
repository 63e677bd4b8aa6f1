#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <cstdint>

#include "model/kernels/precision.h"

namespace flux {

/// `launch` with a value of the C++ type that the precision stands for.
template <typename Launch>
cudaError_t with_type(Precision precision, const Launch& launch) {
  switch (precision) {
    case Precision::fp32:
      return launch(float{});
    case Precision::bf16:
      return launch(__nv_bfloat16{});
    case Precision::fp16:
      return launch(__half{});
  }
  return cudaErrorInvalidValue;
}

/// Of a block, where a kernel asks for no other number.
constexpr int threads = 256;

/// N neighbours in memory, loaded and stored at once.
template <typename T, int N>
struct alignas(N * sizeof(T)) Vector {
  T values[N];
};

template <typename T, int N>
__device__ Vector<T, N> load(const T* from) {
  return *reinterpret_cast<const Vector<T, N>*>(from);
}

template <typename T, int N>
__device__ void store(T* to, const Vector<T, N>& vector) {
  *reinterpret_cast<Vector<T, N>*>(to) = vector;
}

inline bool aligned(const void* pointer, size_t bytes) { return reinterpret_cast<uintptr_t>(pointer) % bytes == 0; }

constexpr int warp = 32;

__device__ inline float warp_sum(float value) {
  for (int step = warp / 2; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffff, value, step);
  return value;
}

/// The largest of all lanes' values as unsigned integers: for floats without a sign the largest, or what is no number.
__device__ inline unsigned warp_largest(unsigned value) {
  for (int step = warp / 2; step > 0; step /= 2) value = max(value, __shfl_xor_sync(0xffffffff, value, step));
  return value;
}

}  // namespace flux
