#include "model/checkpoint/pinned_memory.h"

#include "built_with.h"

#if FLUX_CUDA
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <stdexcept>
#endif

namespace flux {

#if FLUX_CUDA
at::Tensor pinned_memory(int64_t bytes) {
  at::Tensor pages = at::empty({bytes}, at::kByte);
  if (bytes == 0) return pages;
  void* data = pages.data_ptr();
  if (const cudaError_t error = cudaHostRegister(data, static_cast<size_t>(bytes), cudaHostRegisterDefault);
      error != cudaSuccess) {
    cudaGetLastError();  // which is told here
    throw std::runtime_error(fmt::format(
        "{} MiB of the host's memory cannot be pinned ({}): free some, or give --encoder-residency resident",
        bytes >> 20, cudaGetErrorString(error)));
  }
  return at::from_blob(data, {bytes}, [pages](void* of) { cudaHostUnregister(of); }, at::kByte);
}
#else
at::Tensor pinned_memory(int64_t bytes) { return at::empty({bytes}, at::kByte); }
#endif

}  // namespace flux
