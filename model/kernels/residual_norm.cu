#include <cstdint>

#include "model/kernels/residual_norm_cuda.h"
#include "model/kernels/rotation.cuh"

namespace flux {
namespace {

/// Of all threads' values, in the same order whatever runs beside it.
__device__ float block_sum(float value) {
  __shared__ float of_warps[most_threads / warp];
  value = warp_sum(value);
  if (threadIdx.x % warp == 0) of_warps[threadIdx.x / warp] = value;
  __syncthreads();
  float sum = 0;
  for (int i = 0; i < blockDim.x / warp; ++i) sum += of_warps[i];
  __syncthreads();
  return sum;
}

/// A block does a row; a thread holds `kept` vectors of N neighbours of it. T: a code where the result is quantised.
template <typename R, typename T, int N>
__global__ void residual_norm(ResidualNorm a, int rotated_together) {
  R* residual = static_cast<R*>(a.residual) + blockIdx.x * a.d;
  const R* y = static_cast<const R*>(a.y) + blockIdx.x * a.d;
  const auto each = [&](auto&& body) {
#pragma unroll
    for (int k = 0; k < kept; ++k) {
      const int64_t at = column<N>(k);
      if (at < a.d) body(k, at);
    }
  };

  float values[kept][N] = {};
  float sum = 0;
  each([&](int k, int64_t at) {
    auto x = load<R, N>(residual + at);
    if (a.y != nullptr) {
      const auto change = load<R, N>(y + at);
      const auto gate = load<float, N>(a.gate + at);
      for (int i = 0; i < N; ++i)
        x.values[i] =
            static_cast<R>(fmaf(gate.values[i], static_cast<float>(change.values[i]), static_cast<float>(x.values[i])));
      store(residual + at, x);
    }
    for (int i = 0; i < N; ++i) sum += values[k][i] = static_cast<float>(x.values[i]);
  });
  const float mean = block_sum(sum) / static_cast<float>(a.d);

  float squares = 0;
  each([&](int k, int64_t) {
    for (int i = 0; i < N; ++i) {
      values[k][i] -= mean;
      squares += values[k][i] * values[k][i];
    }
  });
  const float inverse = rsqrtf(block_sum(squares) / static_cast<float>(a.d) + 1e-6F);

  each([&](int k, int64_t at) {
    const auto scale = load<float, N>(a.scale + at);
    const auto shift = load<float, N>(a.shift + at);
    for (int i = 0; i < N; ++i) values[k][i] = fmaf(values[k][i] * inverse, 1 + scale.values[i], shift.values[i]);
  });

  T* out = static_cast<T*>(a.out) + blockIdx.x * a.d;
  if constexpr (sizeof(T) == 1) {
    quantize_and_store(values, a.d, rotated_together, out, a.out_scales + blockIdx.x);
  } else {
    each([&](int k, int64_t at) {
      Vector<T, N> result;
      for (int i = 0; i < N; ++i) result.values[i] = static_cast<T>(values[k][i]);
      store(out + at, result);
    });
  }
}

template <typename R, typename T>
cudaError_t launch(const ResidualNorm& a, cudaStream_t stream) {
  if (a.rows == 0) return cudaSuccess;
  constexpr int N = 8;
  const bool wide = a.d % N == 0 && aligned(a.residual, N * sizeof(R)) && aligned(a.out, N * sizeof(T)) &&
                    aligned(a.y, N * sizeof(R)) && aligned(a.gate, N * sizeof(float)) &&
                    aligned(a.shift, N * sizeof(float)) && aligned(a.scale, N * sizeof(float));
  const int64_t threads = threads_for(wide ? a.d / N : a.d);
  if (threads > most_threads) return cudaErrorInvalidValue;
  const auto grid = static_cast<unsigned>(a.rows), block = static_cast<unsigned>(threads);
  if constexpr (sizeof(T) == 1) {
    if (!wide || a.d % 16 != 0) return cudaErrorInvalidValue;
    residual_norm<R, T, N><<<grid, block, 0, stream>>>(a, static_cast<int>(rotation_block(a.d)));
  } else {
    (wide ? residual_norm<R, T, N> : residual_norm<R, T, 1>)<<<grid, block, 0, stream>>>(a, 0);
  }
  return cudaGetLastError();
}

template <typename T>
cudaError_t launch_for(const ResidualNorm& a, cudaStream_t stream) {
  return a.residual_precision == a.out_precision ? launch<T, T>(a, stream) : launch<float, T>(a, stream);
}

}  // namespace

cudaError_t launch_residual_norm(const ResidualNorm& arguments, cudaStream_t stream) {
  if (arguments.out_scales != nullptr)
    return with_types(arguments.residual_precision, arguments.code,
                      [&](auto type, auto code) { return launch<decltype(type), decltype(code)>(arguments, stream); });
  return with_type(arguments.out_precision, [&](auto type) { return launch_for<decltype(type)>(arguments, stream); });
}

}  // namespace flux
