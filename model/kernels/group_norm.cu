#include <algorithm>
#include <cstdint>

#include "model/kernels/group_norm_cuda.h"
#include "model/kernels/vector.cuh"

namespace flux {
namespace {

constexpr int pixels_each = 32;  // that a thread reads in the first pass

/// How the threads of a block cover [pixels, channels]: neighbours N channels apart, then pixels.
struct Cover {
  int64_t across;  // threads that cover the channels of a pixel
  int64_t down;    // pixels at a time

  template <int N>
  static Cover of(int64_t channels) {
    const int64_t across = (channels + N - 1) / N;
    return {across, std::max<int64_t>(1, threads / across)};
  }
};

/// Sums and squares of a part's pixels by group. They are taken of differences to the map's first pixel, so that a
/// large mean does not swallow a small deviation, and in an order that depends on nothing but the map's size.
template <typename T, int N>
__global__ void sum_groups(GroupNormMaps m, Cover cover) {
  extern __shared__ float sums[];  // [2, down, channels]
  const int64_t column = threadIdx.x % cover.across * N, lane = threadIdx.x / cover.across;
  const T* x = static_cast<const T*>(m.x);
  const int64_t begin = blockIdx.x * cover.down * pixels_each;
  const int64_t end = min(begin + cover.down * pixels_each, m.pixels);
  float sum[N] = {}, squares[N] = {};
  if (lane < cover.down && column < m.channels) {
    const auto first = load<T, N>(x + column);
    for (int64_t pixel = begin + lane; pixel < end; pixel += cover.down) {
      const auto values = load<T, N>(x + pixel * m.channels + column);
      for (int i = 0; i < N; ++i) {
        const float difference = static_cast<float>(values.values[i]) - static_cast<float>(first.values[i]);
        sum[i] += difference;
        squares[i] += difference * difference;
      }
    }
    for (int i = 0; i < N; ++i) {
      sums[lane * m.channels + column + i] = sum[i];
      sums[(cover.down + lane) * m.channels + column + i] = squares[i];
    }
  }
  __syncthreads();

  const int64_t in_group = m.channels / m.groups;
  for (int64_t group = threadIdx.x; group < m.groups; group += threads) {
    double total = 0, total_squares = 0;
    for (int64_t channel = group * in_group; channel < (group + 1) * in_group; ++channel) {
      double s = 0, q = 0;
      for (int64_t l = 0; l < cover.down; ++l) {
        s += sums[l * m.channels + channel];
        q += sums[(cover.down + l) * m.channels + channel];
      }
      const double shift =
          static_cast<double>(static_cast<float>(x[channel])) + (m.offset == nullptr ? 0.0 : m.offset[channel]);
      const auto count = static_cast<double>(end - begin);
      total += s + count * shift;
      total_squares += q + 2 * shift * s + count * shift * shift;
    }
    double* partial = m.partial + (blockIdx.x * m.groups + group) * 2;
    partial[0] = total;
    partial[1] = total_squares;
  }
}

/// A block a group: mean and inverse deviation.
__global__ void finish_groups(GroupNormMaps m, int64_t parts) {
  __shared__ double sums[2][threads];
  const int64_t group = blockIdx.x;
  double sum = 0, squares = 0;
  for (int64_t part = threadIdx.x; part < parts; part += threads) {
    sum += m.partial[(part * m.groups + group) * 2];
    squares += m.partial[(part * m.groups + group) * 2 + 1];
  }
  sums[0][threadIdx.x] = sum;
  sums[1][threadIdx.x] = squares;
  for (int half = threads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half)
      for (auto& row : sums) row[threadIdx.x] += row[threadIdx.x + half];
  }
  if (threadIdx.x > 0) return;
  const double count = static_cast<double>(m.pixels) * static_cast<double>(m.channels / m.groups);
  const double mean = sums[0][0] / count;
  const double variance = sums[1][0] / count - mean * mean;
  m.statistics[2 * group] = static_cast<float>(mean);
  m.statistics[2 * group + 1] = static_cast<float>(rsqrt((variance < 0 ? 0 : variance) + 1e-6));  // NaN stays
}

template <typename T, int N>
__global__ void normalize(GroupNormMaps m, Cover cover) {
  const int64_t column = threadIdx.x % cover.across * N, lane = threadIdx.x / cover.across;
  if (lane >= cover.down || column >= m.channels) return;
  float scale[N], shift[N];
  for (int i = 0; i < N; ++i) {
    const float* of_group = m.statistics + (column + i) / (m.channels / m.groups) * 2;
    scale[i] = of_group[1] * m.weight[column + i];
    shift[i] = ((m.offset == nullptr ? 0.0F : m.offset[column + i]) - of_group[0]) * scale[i] + m.bias[column + i];
  }
  const auto step = static_cast<int64_t>(gridDim.x) * cover.down;
  for (int64_t pixel = blockIdx.x * cover.down + lane; pixel < m.pixels; pixel += step) {
    const int64_t at = pixel * m.channels + column;
    auto values = load<T, N>(static_cast<const T*>(m.x) + at);
    for (int i = 0; i < N; ++i) {
      const float normed = fmaf(static_cast<float>(values.values[i]), scale[i], shift[i]);
      values.values[i] = static_cast<T>(m.silu ? normed / (1 + expf(-normed)) : normed);
    }
    store(static_cast<T*>(m.out) + at, values);
  }
}

template <typename T, int N>
__global__ void add(AddedMaps m, Cover cover) {
  const int64_t column = threadIdx.x % cover.across * N, lane = threadIdx.x / cover.across;
  if (lane >= cover.down || column >= m.channels) return;
  const auto offset = load<float, N>(m.offset + column);
  const auto step = static_cast<int64_t>(gridDim.x) * cover.down;
  for (int64_t pixel = blockIdx.x * cover.down + lane; pixel < m.pixels; pixel += step) {
    const int64_t at = pixel * m.channels + column;
    auto x = load<T, N>(static_cast<const T*>(m.x) + at);
    const auto y = load<T, N>(static_cast<const T*>(m.y) + at);
    for (int i = 0; i < N; ++i)
      x.values[i] =
          static_cast<T>(static_cast<float>(x.values[i]) + (static_cast<float>(y.values[i]) + offset.values[i]));
    store(static_cast<T*>(m.out) + at, x);
  }
}

int64_t parts_of(int64_t pixels, const Cover& cover) {
  return (pixels + cover.down * pixels_each - 1) / (cover.down * pixels_each);
}

unsigned blocks_for(int64_t pixels, const Cover& cover) {
  return static_cast<unsigned>(std::clamp<int64_t>((pixels + cover.down - 1) / cover.down, 1, 4096));
}

template <typename T, int N>
cudaError_t launch_norm(const GroupNormMaps& m, cudaStream_t stream) {
  const Cover cover = Cover::of<N>(m.channels);
  if (cover.across > threads) return cudaErrorInvalidValue;
  const int64_t parts = parts_of(m.pixels, cover);
  sum_groups<T, N>
      <<<static_cast<unsigned>(parts), threads, 2 * cover.down * m.channels * sizeof(float), stream>>>(m, cover);
  finish_groups<<<static_cast<unsigned>(m.groups), threads, 0, stream>>>(m, parts);
  normalize<T, N><<<blocks_for(m.pixels, cover), threads, 0, stream>>>(m, cover);
  return cudaGetLastError();
}

template <typename T>
cudaError_t norm_of(const GroupNormMaps& m, cudaStream_t stream) {
  return m.channels % 8 == 0 ? launch_norm<T, 8>(m, stream) : launch_norm<T, 1>(m, stream);
}

template <typename T, int N>
cudaError_t launch_add(const AddedMaps& m, cudaStream_t stream) {
  const Cover cover = Cover::of<N>(m.channels);
  if (cover.across > threads) return cudaErrorInvalidValue;
  add<T, N><<<blocks_for(m.pixels, cover), threads, 0, stream>>>(m, cover);
  return cudaGetLastError();
}

template <typename T>
cudaError_t sum_of(const AddedMaps& m, cudaStream_t stream) {
  return m.channels % 8 == 0 ? launch_add<T, 8>(m, stream) : launch_add<T, 1>(m, stream);
}

}  // namespace

int64_t group_norm_parts(int64_t pixels, int64_t channels) {
  return parts_of(pixels, channels % 8 == 0 ? Cover::of<8>(channels) : Cover::of<1>(channels));
}

cudaError_t launch_group_norm(const GroupNormMaps& maps, cudaStream_t stream) {
  return with_type(maps.precision, [&](auto type) { return norm_of<decltype(type)>(maps, stream); });
}

cudaError_t launch_add_with_offset(const AddedMaps& maps, cudaStream_t stream) {
  return with_type(maps.precision, [&](auto type) { return sum_of<decltype(type)>(maps, stream); });
}

}  // namespace flux
