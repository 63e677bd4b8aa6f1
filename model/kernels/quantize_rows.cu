#include <cstdint>

#include "model/kernels/codes.cuh"
#include "model/kernels/quantize_rows_cuda.h"
#include "model/kernels/vector.cuh"

namespace flux {
namespace {

constexpr int warps = 8;  // of a block

/// A warp does a row, N neighbours a lane at a time: once for the largest, once for the codes.
template <typename T, typename Code, int N>
__global__ void quantize_rows(QuantizeRows a) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * warps + threadIdx.x / warp;
  if (row >= a.rows) return;
  const T* x = static_cast<const T*>(a.x) + row / a.together * a.stride + row % a.together * a.width;
  const int64_t first = static_cast<int64_t>(threadIdx.x % warp) * N;

  unsigned largest = 0;  // as integers: what is no number is larger than all numbers
  for (int64_t at = first; at < a.width; at += warp * N) {
    const auto vector = load<T, N>(x + at);
#pragma unroll
    for (int i = 0; i < N; ++i) largest = max(largest, __float_as_uint(fabsf(static_cast<float>(vector.values[i]))));
  }
  const float absmax = __uint_as_float(warp_largest(largest));
  const float inverse = inverse_scale<Code>(absmax);
  if (first == 0) a.scales[row] = __fdiv_rn(absmax, largest_code<Code>);

  for (int64_t at = first; at < a.width; at += warp * N) {
    const auto vector = load<T, N>(x + at);
    float values[N];
#pragma unroll
    for (int i = 0; i < N; ++i) values[i] = static_cast<float>(vector.values[i]);
    store(static_cast<Code*>(a.codes) + row * a.width + at, codes_of<Code>(values, inverse));
  }
}

template <typename T, typename Code>
cudaError_t launch(const QuantizeRows& a, cudaStream_t stream) {
  if (a.rows * a.width == 0) return cudaSuccess;
  constexpr int N = 4;
  const bool wide = a.width % N == 0 && a.stride % N == 0 && aligned(a.x, N * sizeof(T)) && aligned(a.codes, N);
  const auto blocks = static_cast<unsigned>((a.rows + warps - 1) / warps);
  (wide ? quantize_rows<T, Code, N> : quantize_rows<T, Code, 1>)<<<blocks, warps * warp, 0, stream>>>(a);
  return cudaGetLastError();
}

}  // namespace

cudaError_t launch_quantize_rows(const QuantizeRows& arguments, cudaStream_t stream) {
  return with_types(arguments.precision, arguments.code,
                    [&](auto type, auto code) { return launch<decltype(type), decltype(code)>(arguments, stream); });
}

}  // namespace flux
