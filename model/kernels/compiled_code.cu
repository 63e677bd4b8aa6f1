#include <array>
#include <atomic>

#include "model/kernels/compiled_code_cuda.h"

namespace flux {
namespace {

__global__ void as_all_are_compiled() {}

}  // namespace

cudaError_t compiled_code(CompiledCode* code) {
  static std::array<std::atomic<CompiledCode>, 64> known;  // by card; zeros: not asked yet
  int card = 0;
  cudaError_t error = cudaGetDevice(&card);
  if (error != cudaSuccess) return error;
  const auto at = static_cast<size_t>(card);
  if (at < known.size() && (*code = known[at].load()).runs_on != 0) return cudaSuccess;

  cudaFuncAttributes attributes{};
  error = cudaFuncGetAttributes(&attributes, as_all_are_compiled);
  if (error != cudaSuccess) {
    cudaGetLastError();  // it is not to be found by whoever asks next
    return error == cudaErrorInvalidDeviceFunction ? cudaErrorNoKernelImageForDevice : error;
  }
  *code = {attributes.ptxVersion, attributes.binaryVersion};
  if (at < known.size()) known[at] = *code;
  return cudaSuccess;
}

}  // namespace flux
