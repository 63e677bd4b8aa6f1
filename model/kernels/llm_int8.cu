#include <cstdint>

#include "model/kernels/llm_int8_cuda.h"
#include "model/kernels/outlier_threshold.h"
#include "model/kernels/vector.cuh"

namespace flux {
namespace {

constexpr int rows_at_once = 8;     // of a block that rounds rows
constexpr int rows_looked_at = 64;  // by a thread

template <typename T>
__device__ float through_fp16(T value) {
  return __half2float(__float2half_rn(static_cast<float>(value)));
}

/// Not what is no number.
__device__ bool is_inlier(float value) { return fabsf(value) < outlier_threshold; }

/// A thread looks at N columns. Whoever finds an outlier writes the same.
template <typename T, int N>
__global__ void outlier_columns(LlmInt8 a) {
  const int64_t at = (static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x) * N;
  if (at >= a.width) return;
  const int64_t first = static_cast<int64_t>(blockIdx.y) * rows_looked_at;
  const int64_t end = min(a.rows, first + rows_looked_at);
  bool found[N] = {};
  for (int64_t row = first; row < end; ++row) {
    const auto vector = load<T, N>(static_cast<const T*>(a.x) + row * a.stride + at);
#pragma unroll
    for (int i = 0; i < N; ++i) found[i] |= !is_inlier(through_fp16(vector.values[i]));
  }
#pragma unroll
  for (int i = 0; i < N; ++i)
    if (found[i]) a.columns[at + i] = 1;
}

/// A warp does a row, N neighbours a lane at a time: once for the largest, once for the codes.
template <typename T, int N>
__global__ void quantize_inliers(LlmInt8 a, int8_t* codes, float* scales) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * rows_at_once + threadIdx.x / warp;
  if (row >= a.rows) return;
  const T* x = static_cast<const T*>(a.x) + row * a.stride;
  const int64_t first = static_cast<int64_t>(threadIdx.x % warp) * N;

  unsigned largest = 0;  // as integers: what is no number is larger than all numbers
  for (int64_t at = first; at < a.width; at += warp * N) {
    const auto vector = load<T, N>(x + at);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float value = through_fp16(vector.values[i]);
      if (a.columns == nullptr || is_inlier(value)) largest = max(largest, __float_as_uint(fabsf(value)));
    }
  }
  const float absmax = __uint_as_float(warp_largest(largest));
  const float inverse = __fdividef(127, absmax);  // as bitsandbytes' kernels divide
  if (first == 0) scales[row] = __fdiv_rn(absmax, 127);

  for (int64_t at = first; at < a.width; at += warp * N) {
    const auto vector = load<T, N>(x + at);
    Vector<int8_t, N> result;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const bool rounded = a.columns == nullptr || a.columns[at + i] == 0;
      const float value = __fmul_rn(through_fp16(vector.values[i]), inverse);  // no number: 0, as an integer
      result.values[i] = static_cast<int8_t>(rounded ? __float2int_rn(value) : 0);
    }
    store(codes + row * a.width + at, result);
  }
}

/// `launch` with a value of the C++ type, and how many neighbours can be loaded at once.
template <typename Launch>
cudaError_t with_vectors(const LlmInt8& a, const void* codes, const Launch& launch) {
  if (a.rows * a.width == 0) return cudaSuccess;
  return with_type(a.precision, [&](auto type) {
    constexpr int N = 4;
    const bool wide = a.width % N == 0 && a.stride % N == 0 && aligned(a.x, N * sizeof(type)) && aligned(codes, N);
    wide ? launch(type, std::integral_constant<int, N>{}) : launch(type, std::integral_constant<int, 1>{});
    return cudaGetLastError();
  });
}

unsigned blocks_of(int64_t values, int64_t each) { return static_cast<unsigned>((values + each - 1) / each); }

}  // namespace

cudaError_t launch_outlier_columns(const LlmInt8& a, cudaStream_t stream) {
  return with_vectors(a, nullptr, [&](auto type, auto n) {
    const dim3 blocks(blocks_of(a.width, threads * n()), blocks_of(a.rows, rows_looked_at));
    outlier_columns<decltype(type), n()><<<blocks, threads, 0, stream>>>(a);
  });
}

cudaError_t launch_quantize_inliers(const LlmInt8& a, int8_t* codes, float* scales, cudaStream_t stream) {
  return with_vectors(a, codes, [&](auto type, auto n) {
    const unsigned blocks = blocks_of(a.rows, rows_at_once);
    quantize_inliers<decltype(type), n()><<<blocks, rows_at_once * warp, 0, stream>>>(a, codes, scales);
  });
}

}  // namespace flux
