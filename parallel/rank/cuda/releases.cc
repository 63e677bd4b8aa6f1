#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <cudnn_graph.h>
#include <fmt/format.h>
#include <nccl.h>

#include "parallel/rank/libraries.h"

namespace flux {
namespace {

std::string cublas_part(libraryPropertyType part) {
  int value = 0;
  return cublasGetProperty(part, &value) == CUBLAS_STATUS_SUCCESS ? std::to_string(value) : "?";
}

}  // namespace

/// None of these calls touches a card.
CudaReleases cuda_releases() {
  int cuda = 0, nccl = 0;
  cudaRuntimeGetVersion(&cuda);
  ncclGetVersion(&nccl);
  const size_t cudnn = cudnnGetVersion();
  return {fmt::format("{}.{}", cuda / 1000, cuda % 1000 / 10),
          fmt::format("{}.{}.{}", cublas_part(MAJOR_VERSION), cublas_part(MINOR_VERSION), cublas_part(PATCH_LEVEL)),
          fmt::format("{}.{}.{}", cudnn / 10000, cudnn % 10000 / 100, cudnn % 100),
          fmt::format("{}.{}.{}", nccl / 10000, nccl % 10000 / 100, nccl % 100)};
}

}  // namespace flux
