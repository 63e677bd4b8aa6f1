#include <algorithm>
#include <cstdint>

#include "model/kernels/upsample_nearest_cuda.h"
#include "model/kernels/vector.cuh"

namespace flux {
namespace {

/// A thread reads a vector of a pixel and writes it to the four pixels that it becomes.
template <typename V>
__global__ void upsample_nearest(const V* x, V* out, int64_t height, int64_t width, int64_t vectors) {
  const int64_t count = height * width * vectors;
  const auto step = static_cast<int64_t>(gridDim.x) * threads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x; i < count; i += step) {
    const int64_t vector = i % vectors, column = i / vectors % width, row = i / vectors / width;
    V* to = out + (2 * row * 2 * width + 2 * column) * vectors + vector;
    const V value = x[i];
    to[0] = to[vectors] = value;
    to += 2 * width * vectors;
    to[0] = to[vectors] = value;
  }
}

template <typename V>
cudaError_t launch(const void* x, void* out, int64_t height, int64_t width, int64_t pixel_bytes, cudaStream_t stream) {
  const int64_t vectors = pixel_bytes / static_cast<int64_t>(sizeof(V));
  const int64_t blocks = std::clamp<int64_t>((height * width * vectors + threads - 1) / threads, 1, 1 << 16);
  upsample_nearest<<<static_cast<unsigned>(blocks), threads, 0, stream>>>(static_cast<const V*>(x),
                                                                          static_cast<V*>(out), height, width, vectors);
  return cudaGetLastError();
}

}  // namespace

cudaError_t launch_upsample_nearest(const void* x, void* out, int64_t height, int64_t width, int64_t pixel_bytes,
                                    cudaStream_t stream) {
  if (pixel_bytes % 16 == 0 && aligned(x, 16) && aligned(out, 16))
    return launch<uint4>(x, out, height, width, pixel_bytes, stream);
  return launch<uint16_t>(x, out, height, width, pixel_bytes, stream);
}

}  // namespace flux
