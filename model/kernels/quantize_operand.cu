#include <cstdint>

#include "model/kernels/quantize_rows_cuda.h"
#include "model/kernels/rotation.cuh"

namespace flux {
namespace {

/// A block does a row.
template <typename T, typename Code>
__global__ void quantize_operand(QuantizeRows a, int rotated_together) {
  const T* x = static_cast<const T*>(a.x) + blockIdx.x * a.stride;
  float values[kept][8];
#pragma unroll
  for (int k = 0; k < kept; ++k) {
    const int64_t at = column<8>(k);
    if (at < a.width) {
      const auto vector = load<T, 8>(x + at);
#pragma unroll
      for (int i = 0; i < 8; ++i) values[k][i] = static_cast<float>(vector.values[i]);
    } else {
#pragma unroll
      for (int i = 0; i < 8; ++i) values[k][i] = 0;
    }
  }
  quantize_and_store(values, a.width, rotated_together, static_cast<Code*>(a.codes) + blockIdx.x * a.width,
                     a.scales + blockIdx.x);
}

template <typename T, typename Code>
cudaError_t launch_operand(const QuantizeRows& a, cudaStream_t stream) {
  if (a.rows == 0) return cudaSuccess;
  const int64_t threads = threads_for(a.width / 8);
  const bool fits = a.together == 1 && a.width % 16 == 0 && threads <= most_threads && aligned(a.x, 8 * sizeof(T)) &&
                    a.stride % 8 == 0 && aligned(a.codes, 8);
  if (!fits) return cudaErrorInvalidValue;
  quantize_operand<T, Code><<<static_cast<unsigned>(a.rows), static_cast<unsigned>(threads), 0, stream>>>(
      a, static_cast<int>(rotation_block(a.width)));
  return cudaGetLastError();
}

}  // namespace

cudaError_t launch_quantize_operand(const QuantizeRows& arguments, cudaStream_t stream) {
  return with_types(arguments.precision, arguments.code, [&](auto type, auto code) {
    return launch_operand<decltype(type), decltype(code)>(arguments, stream);
  });
}

}  // namespace flux
