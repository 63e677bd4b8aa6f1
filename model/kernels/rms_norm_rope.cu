#include <cstdint>

#include "model/kernels/attention_code.cuh"
#include "model/kernels/rms_norm_rope_cuda.h"
#include "model/kernels/vector.cuh"

namespace flux {

namespace {

constexpr int warps_per_block = 8;
constexpr int heads_together = 4;

/// Scales a vector of pairs and turns each by its angle.
template <typename T, int Pairs>
__device__ void rotate(Vector<T, 2 * Pairs>& vector, float scale, const Vector<float, 2 * Pairs>& weight,
                       const Vector<float, Pairs>& cos, const Vector<float, Pairs>& sin) {
#pragma unroll
  for (int p = 0; p < Pairs; ++p) {
    const float a = static_cast<float>(vector.values[2 * p]) * scale * weight.values[2 * p];
    const float b = static_cast<float>(vector.values[2 * p + 1]) * scale * weight.values[2 * p + 1];
    vector.values[2 * p] = static_cast<T>(a * cos.values[p] - b * sin.values[p]);
    vector.values[2 * p + 1] = static_cast<T>(b * cos.values[p] + a * sin.values[p]);
  }
}

template <typename T, int N>
__device__ void write(T* to, const Vector<T, N>& vector) {
  store(to, vector);
}

template <typename T, int N>
__device__ void write(AttentionCode* to, const Vector<T, N>& vector) {
  Vector<AttentionCode, N> codes;
  convert(vector, codes);
  store(to, codes);
}

/// `lanes` threads of a warp normalise and rotate `heads_together` heads of one token, a vector of each in a thread:
/// what belongs to the token is read once, and the heads' loads are under way at once.
template <typename T, typename Out, int Pairs>
__global__ void rms_norm_rope_heads(HeadsOnDevice x, const float* weight, const float* cos, const float* sin,
                                    HeadsOut out, int lanes) {
  constexpr int N = 2 * Pairs;
  const int64_t group =
      (static_cast<int64_t>(blockIdx.x) * warps_per_block + threadIdx.y) * (warp / lanes) + threadIdx.x / lanes;
  const int64_t groups = x.heads / heads_together;  // of a token
  const int64_t token = group / groups;
  const bool inside = token < x.tokens;  // the warp sums together
  const int64_t first = threadIdx.x % lanes * N;
  const int64_t within = group % groups * heads_together * x.head_dim + first;
  const T* heads = static_cast<const T*>(x.values) + token * x.token_stride + within;
  Out* to = static_cast<Out*>(out.values) + token * out.token_stride + within;

  Vector<T, N> vectors[heads_together];
  float squares[heads_together] = {};
#pragma unroll
  for (int h = 0; h < heads_together; ++h)
    if (inside) vectors[h] = load<T, N>(heads + h * x.head_dim);
#pragma unroll
  for (int h = 0; h < heads_together; ++h) {
    for (int k = 0; inside && k < N; ++k)
      squares[h] += static_cast<float>(vectors[h].values[k]) * static_cast<float>(vectors[h].values[k]);
    for (int step = lanes / 2; step > 0; step /= 2) squares[h] += __shfl_xor_sync(0xffffffff, squares[h], step);
  }
  if (!inside) return;
  const auto w = load<float, N>(weight + first);
  const auto c = load<float, Pairs>(cos + (token * x.head_dim + first) / 2);
  const auto s = load<float, Pairs>(sin + (token * x.head_dim + first) / 2);
#pragma unroll
  for (int h = 0; h < heads_together; ++h) {
    const float scale = rsqrtf(squares[h] / static_cast<float>(x.head_dim) + 1e-6F);
    rotate<T, Pairs>(vectors[h], scale, w, c, s);
    write(to + h * x.head_dim, vectors[h]);
  }
}

/// `lanes` threads of a warp normalise and rotate one head of one token, each `Pairs` pairs of neighbours at a time.
template <typename T, typename Out, int Pairs>
__global__ void rms_norm_rope(HeadsOnDevice x, const float* weight, const float* cos, const float* sin, HeadsOut out,
                              int lanes) {
  constexpr int N = 2 * Pairs;
  const int64_t row =
      (static_cast<int64_t>(blockIdx.x) * warps_per_block + threadIdx.y) * (warp / lanes) + threadIdx.x / lanes;
  const int64_t token = row / x.heads;
  const int64_t end = row < x.tokens * x.heads ? x.head_dim : 0;  // the warp sums together
  const int64_t within = row % x.heads * x.head_dim;
  const T* head = static_cast<const T*>(x.values) + token * x.token_stride + within;
  Out* to = static_cast<Out*>(out.values) + token * out.token_stride + within;
  const int64_t first = threadIdx.x % lanes * N;

  float squares = 0;
  for (int64_t i = first; i < end; i += lanes * N) {
    const auto vector = load<T, N>(head + i);
    for (int k = 0; k < N; ++k) squares += static_cast<float>(vector.values[k]) * static_cast<float>(vector.values[k]);
  }
  for (int step = lanes / 2; step > 0; step /= 2) squares += __shfl_xor_sync(0xffffffff, squares, step);
  const float scale = rsqrtf(squares / static_cast<float>(x.head_dim) + 1e-6F);

  for (int64_t i = first; i < end; i += lanes * N) {
    auto vector = load<T, N>(head + i);
    const auto w = load<float, N>(weight + i);
    const auto c = load<float, Pairs>(cos + (token * x.head_dim + i) / 2);
    const auto s = load<float, Pairs>(sin + (token * x.head_dim + i) / 2);
    rotate<T, Pairs>(vector, scale, w, c, s);
    write(to + i, vector);
  }
}

/// Whether all vectors of `pairs` pairs are aligned.
template <typename T, typename Out>
bool fits(const HeadsOnDevice& x, const float* weight, const float* cos, const float* sin, const HeadsOut& out,
          int64_t pairs) {
  const int64_t n = 2 * pairs;
  return x.head_dim % n == 0 && x.token_stride % n == 0 && out.token_stride % n == 0 &&
         aligned(x.values, n * sizeof(T)) && aligned(out.values, n * sizeof(Out)) &&
         aligned(weight, n * sizeof(float)) && aligned(cos, pairs * sizeof(float)) &&
         aligned(sin, pairs * sizeof(float));
}

template <typename T, typename Out, int Pairs>
cudaError_t launch_pairs(const HeadsOnDevice& x, const float* weight, const float* cos, const float* sin,
                         const HeadsOut& out, cudaStream_t stream) {
  const int64_t vectors = x.head_dim / (2 * Pairs);
  const bool whole = vectors < warp && (vectors & (vectors - 1)) == 0;  // a part of a warp does a head in one go
  const int lanes = whole ? static_cast<int>(vectors) : warp;
  const bool together = whole && x.heads % heads_together == 0;
  const int64_t rows = x.tokens * x.heads / (together ? heads_together : 1);
  const int64_t rows_per_block = static_cast<int64_t>(warps_per_block) * (warp / lanes);
  const auto blocks = static_cast<unsigned>((rows + rows_per_block - 1) / rows_per_block);
  const auto kernel = together ? rms_norm_rope_heads<T, Out, Pairs> : rms_norm_rope<T, Out, Pairs>;
  kernel<<<blocks, dim3(warp, warps_per_block), 0, stream>>>(x, weight, cos, sin, out, lanes);
  return cudaGetLastError();
}

template <typename T, typename Out>
cudaError_t launch(const HeadsOnDevice& x, const float* weight, const float* cos, const float* sin, const HeadsOut& out,
                   cudaStream_t stream) {
  if (x.tokens * x.heads == 0) return cudaSuccess;
  if (fits<T, Out>(x, weight, cos, sin, out, 4)) return launch_pairs<T, Out, 4>(x, weight, cos, sin, out, stream);
  if (fits<T, Out>(x, weight, cos, sin, out, 2)) return launch_pairs<T, Out, 2>(x, weight, cos, sin, out, stream);
  return launch_pairs<T, Out, 1>(x, weight, cos, sin, out, stream);
}

}  // namespace

cudaError_t launch_rms_norm_rope(const HeadsOnDevice& x, const float* weight, const float* cos, const float* sin,
                                 const HeadsOut& out, cudaStream_t stream) {
  return with_type(x.precision, [&](auto type) {
    using T = decltype(type);
    return out.codes ? launch<T, AttentionCode>(x, weight, cos, sin, out, stream)
                     : launch<T, T>(x, weight, cos, sin, out, stream);
  });
}

}  // namespace flux
