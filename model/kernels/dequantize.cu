#include <cstdint>

#include "model/kernels/dequantize_cuda.h"
#include "model/kernels/vector.cuh"

namespace flux {
namespace {

constexpr int threads = 256;

/// A block does a row, N neighbours a thread at a time.
template <typename T, int N>
__global__ void dequantize(Dequantize a) {
  const float scale = a.scales[blockIdx.x];
  const int8_t* codes = a.codes + blockIdx.x * a.width;
  T* out = static_cast<T*>(a.out) + blockIdx.x * a.width;
  for (int64_t at = static_cast<int64_t>(threadIdx.x) * N; at < a.width; at += threads * N) {
    const auto vector = load<int8_t, N>(codes + at);
    Vector<T, N> result;
#pragma unroll
    for (int i = 0; i < N; ++i) result.values[i] = static_cast<T>(scale * static_cast<float>(vector.values[i]));
    store(out + at, result);
  }
}

template <typename T>
cudaError_t launch(const Dequantize& a, cudaStream_t stream) {
  if (a.rows * a.width == 0) return cudaSuccess;
  constexpr int N = 8;
  const bool wide = a.width % N == 0 && aligned(a.codes, N) && aligned(a.out, N * sizeof(T));
  (wide ? dequantize<T, N> : dequantize<T, 1>)<<<static_cast<unsigned>(a.rows), threads, 0, stream>>>(a);
  return cudaGetLastError();
}

}  // namespace

cudaError_t launch_dequantize(const Dequantize& arguments, cudaStream_t stream) {
  return with_type(arguments.precision, [&](auto type) { return launch<decltype(type)>(arguments, stream); });
}

}  // namespace flux
