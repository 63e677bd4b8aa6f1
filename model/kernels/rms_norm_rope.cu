#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "model/kernels/rms_norm_rope_cuda.h"
#include "model/kernels/vector.cuh"

namespace flux {

namespace {

constexpr int warps_per_block = 8;

/// One warp normalises and rotates one head of one token; a lane takes `Pairs` pairs of neighbours at a time.
template <typename T, int Pairs>
__global__ void rms_norm_rope(T* x, int64_t rows, int64_t heads, int64_t head_dim, int64_t token_stride,
                              const float* weight, const float* cos, const float* sin) {
  constexpr int N = 2 * Pairs;
  const int64_t row = static_cast<int64_t>(blockIdx.x) * warps_per_block + threadIdx.y;
  if (row >= rows) return;
  const int64_t token = row / heads;
  T* head = x + token * token_stride + row % heads * head_dim;

  float squares = 0;
  for (int64_t i = threadIdx.x * N; i < head_dim; i += warp * N) {
    const auto vector = load<T, N>(head + i);
    for (int k = 0; k < N; ++k) squares += static_cast<float>(vector.values[k]) * static_cast<float>(vector.values[k]);
  }
  const float scale = rsqrtf(warp_sum(squares) / static_cast<float>(head_dim) + 1e-6F);

  for (int64_t i = threadIdx.x * N; i < head_dim; i += warp * N) {
    auto vector = load<T, N>(head + i);
    const auto w = load<float, N>(weight + i);
    const auto c = load<float, Pairs>(cos + (token * head_dim + i) / 2);
    const auto s = load<float, Pairs>(sin + (token * head_dim + i) / 2);
    for (int p = 0; p < Pairs; ++p) {
      const float a = static_cast<float>(vector.values[2 * p]) * scale * w.values[2 * p];
      const float b = static_cast<float>(vector.values[2 * p + 1]) * scale * w.values[2 * p + 1];
      vector.values[2 * p] = static_cast<T>(a * c.values[p] - b * s.values[p]);
      vector.values[2 * p + 1] = static_cast<T>(b * c.values[p] + a * s.values[p]);
    }
    store(head + i, vector);
  }
}

template <typename T>
cudaError_t launch(const HeadsOnDevice& x, const float* weight, const float* cos, const float* sin,
                   cudaStream_t stream) {
  const int64_t rows = x.tokens * x.heads;
  if (rows == 0) return cudaSuccess;
  const bool fours = x.head_dim % 4 == 0 && x.token_stride % 4 == 0 && aligned(x.values, 4 * sizeof(T)) &&
                     aligned(weight, 16) && aligned(cos, 8) && aligned(sin, 8);
  const auto kernel = fours ? rms_norm_rope<T, 2> : rms_norm_rope<T, 1>;
  const dim3 block(warp, warps_per_block);
  const auto blocks = static_cast<unsigned>((rows + warps_per_block - 1) / warps_per_block);
  kernel<<<blocks, block, 0, stream>>>(static_cast<T*>(x.values), rows, x.heads, x.head_dim, x.token_stride, weight,
                                       cos, sin);
  return cudaGetLastError();
}

}  // namespace

cudaError_t launch_rms_norm_rope(const HeadsOnDevice& x, const float* weight, const float* cos, const float* sin,
                                 cudaStream_t stream) {
  switch (x.precision) {
    case Precision::fp32:
      return launch<float>(x, weight, cos, sin, stream);
    case Precision::bf16:
      return launch<__nv_bfloat16>(x, weight, cos, sin, stream);
    case Precision::fp16:
      return launch<__half>(x, weight, cos, sin, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace flux
