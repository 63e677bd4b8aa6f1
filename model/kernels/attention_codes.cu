#include <cuda_fp8.h>

#include <cstdint>

#include "model/kernels/attention_codes_cuda.h"
#include "model/kernels/vector.cuh"

namespace flux {

namespace {

/// e4m3, of which none stands for a value that is too large or not finite.
struct Code {
  __nv_fp8_storage_t bits;
};

/// The card's instruction takes what is too large for the largest code.
template <typename T>
__device__ void convert(T value, float scale, Code& code) {
  constexpr float rounds_to_largest = 464;
  const float scaled = static_cast<float>(value) * scale;
  code.bits = __nv_cvt_float_to_fp8(scaled, __NV_SATFINITE, __NV_E4M3);
  if (!(fabsf(scaled) <= rounds_to_largest)) code.bits = signbit(scaled) ? 0xff : 0x7f;
}

template <typename T>
__device__ void convert(Code code, float scale, T& value) {
  __nv_fp8_e4m3 widened;
  widened.__x = code.bits;
  value = static_cast<T>(static_cast<float>(widened) / scale);
}

/// A vector of N neighbours a thread.
template <typename From, typename To, int N>
__global__ void converted(ValuesAndCodes rows, unsigned all, float scale) {
  const unsigned vector = blockIdx.x * threads + threadIdx.x;
  if (vector >= all) return;
  const auto vectors = static_cast<unsigned>(rows.width / N);
  unsigned row = vector / vectors;
  const unsigned column = (vector - row * vectors) * N;
  int64_t from = column, to = column;
#pragma unroll
  for (int dim = 2; dim >= 0; --dim) {
    const auto size = static_cast<unsigned>(rows.sizes[dim]);
    const unsigned index = row % size;
    row /= size;
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
  const int64_t all = rows.sizes[0] * rows.sizes[1] * rows.sizes[2] * (rows.width / N);
  if (all == 0) return cudaSuccess;
  if (all > INT32_MAX) return cudaErrorInvalidValue;
  const auto blocks = static_cast<unsigned>((all + threads - 1) / threads);
  converted<From, To, N><<<blocks, threads, 0, stream>>>(rows, static_cast<unsigned>(all), scale);
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
