#include <cuda_fp8.h>

#include "model/kernels/attention_codes_cuda.h"
#include "model/kernels/vector.cuh"

namespace flux {

namespace {

/// e4m3, of which none stands for a value that is too large or not finite.
struct Code {
  __nv_fp8_storage_t bits;
};

template <typename T>
__device__ void convert(T value, float scale, Code& code) {
  code.bits = __nv_cvt_float_to_fp8(static_cast<float>(value) * scale, __NV_NOSAT, __NV_E4M3);
}

template <typename T>
__device__ void convert(Code code, float scale, T& value) {
  __nv_fp8_e4m3 widened;
  widened.__x = code.bits;
  value = static_cast<T>(static_cast<float>(widened) / scale);
}

/// A vector of N neighbours a thread.
template <typename From, typename To, int N>
__global__ void converted(ValuesAndCodes rows, float scale) {
  const int64_t vector = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  const int64_t vectors = rows.width / N, column = vector % vectors * N;
  int64_t row = vector / vectors;
  if (row >= rows.sizes[0] * rows.sizes[1] * rows.sizes[2]) return;
  int64_t from = column, to = column;
  for (int dim = 2; dim >= 0; --dim) {
    const int64_t index = row % rows.sizes[dim];
    row /= rows.sizes[dim];
    from += index * rows.from_strides[dim];
    to += index * rows.to_strides[dim];
  }
  const auto values = load<From, N>(static_cast<const From*>(rows.from) + from);
  Vector<To, N> results;
#pragma unroll
  for (int i = 0; i < N; ++i) convert(values.values[i], scale, results.values[i]);
  store(static_cast<To*>(rows.to) + to, results);
}

template <typename From, typename To, int N>
cudaError_t launch(const ValuesAndCodes& rows, float scale, cudaStream_t stream) {
  const int64_t vectors = rows.sizes[0] * rows.sizes[1] * rows.sizes[2] * (rows.width / N);
  if (vectors == 0) return cudaSuccess;
  const auto blocks = static_cast<unsigned>((vectors + threads - 1) / threads);
  converted<From, To, N><<<blocks, threads, 0, stream>>>(rows, scale);
  return cudaGetLastError();
}

/// Whether all rows can be read and written N neighbours at a time.
template <typename From, typename To>
bool fits(const ValuesAndCodes& rows, int64_t n) {
  bool even = rows.width % n == 0 && aligned(rows.from, n * sizeof(From)) && aligned(rows.to, n * sizeof(To));
  for (int dim = 0; dim < 3; ++dim) even = even && rows.from_strides[dim] % n == 0 && rows.to_strides[dim] % n == 0;
  return even;
}

template <typename From, typename To>
cudaError_t launch(const ValuesAndCodes& rows, float scale, cudaStream_t stream) {
  return fits<From, To>(rows, 8) ? launch<From, To, 8>(rows, scale, stream) : launch<From, To, 1>(rows, scale, stream);
}

}  // namespace

cudaError_t launch_to_attention_codes(const ValuesAndCodes& rows, float scale, cudaStream_t stream) {
  return with_type(rows.precision, [&](auto type) { return launch<decltype(type), Code>(rows, scale, stream); });
}

cudaError_t launch_from_attention_codes(const ValuesAndCodes& rows, float scale, cudaStream_t stream) {
  return with_type(rows.precision, [&](auto type) { return launch<Code, decltype(type)>(rows, scale, stream); });
}

}  // namespace flux
