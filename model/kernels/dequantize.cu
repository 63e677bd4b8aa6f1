#include <cstdint>

#include "model/kernels/codes.cuh"
#include "model/kernels/dequantize_cuda.h"
#include "model/kernels/vector.cuh"

namespace flux {
namespace {

/// A thread does N neighbours of a row, wherever that begins: rows may be as short as a head.
template <typename T, typename Code, int N>
__global__ void dequantize(Dequantize a) {
  const uint32_t at = (blockIdx.x * threads + threadIdx.x) * N;
  if (at >= a.rows * a.width) return;
  const uint32_t width = static_cast<uint32_t>(a.width), together = static_cast<uint32_t>(a.together);
  const uint32_t row = at / width;
  const float scale = a.scales[row];
  const auto codes = load<Code, N>(static_cast<const Code*>(a.codes) + at);
  Vector<T, N> result;
#pragma unroll
  for (int i = 0; i < N; ++i) result.values[i] = static_cast<T>(scale * static_cast<float>(codes.values[i]));
  store(static_cast<T*>(a.out) + row / together * a.stride + row % together * width + at % width, result);
}

template <typename T, typename Code>
cudaError_t launch(const Dequantize& a, cudaStream_t stream) {
  const int64_t values = a.rows * a.width;
  if (values == 0) return cudaSuccess;
  if (values > INT32_MAX) return cudaErrorInvalidValue;
  constexpr int N = 8;
  const bool wide = a.width % N == 0 && a.stride % N == 0 && aligned(a.codes, N) && aligned(a.out, N * sizeof(T));
  const int64_t each = threads * (wide ? N : 1);
  (wide ? dequantize<T, Code, N>
        : dequantize<T, Code, 1>)<<<static_cast<unsigned>((values + each - 1) / each), threads, 0, stream>>>(a);
  return cudaGetLastError();
}

}  // namespace

cudaError_t launch_dequantize(const Dequantize& arguments, cudaStream_t stream) {
  return with_types(arguments.precision, arguments.code,
                    [&](auto type, auto code) { return launch<decltype(type), decltype(code)>(arguments, stream); });
}

}  // namespace flux
