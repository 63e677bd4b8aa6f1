#include <cstdint>

#include "model/kernels/attention_code.cuh"
#include "model/kernels/attention_codes_cuda.h"
#include "model/kernels/vector.cuh"

namespace flux {

namespace {

/// A vector of N neighbours a thread.
template <typename From, typename To, int N>
__global__ void converted(ValuesAndCodes rows, unsigned all) {
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
  convert(values, results);
  store(static_cast<To*>(rows.to) + to, results);
}

template <typename From, typename To, int N>
cudaError_t launch(const ValuesAndCodes& rows, cudaStream_t stream) {
  const int64_t all = rows.sizes[0] * rows.sizes[1] * rows.sizes[2] * (rows.width / N);
  if (all == 0) return cudaSuccess;
  if (all > INT32_MAX) return cudaErrorInvalidValue;
  const auto blocks = static_cast<unsigned>((all + threads - 1) / threads);
  converted<From, To, N><<<blocks, threads, 0, stream>>>(rows, static_cast<unsigned>(all));
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
cudaError_t launch(const ValuesAndCodes& rows, cudaStream_t stream) {
  return fits<From, To>(rows, 8) ? launch<From, To, 8>(rows, stream) : launch<From, To, 1>(rows, stream);
}

}  // namespace

cudaError_t launch_to_attention_codes(const ValuesAndCodes& rows, cudaStream_t stream) {
  return with_type(rows.precision, [&](auto type) { return launch<decltype(type), AttentionCode>(rows, stream); });
}

cudaError_t launch_from_attention_codes(const ValuesAndCodes& rows, cudaStream_t stream) {
  return with_type(rows.precision, [&](auto type) { return launch<AttentionCode, decltype(type)>(rows, stream); });
}

}  // namespace flux
