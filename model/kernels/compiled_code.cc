#include "model/kernels/compiled_code.h"

#include "built_with.h"

#if FLUX_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <fmt/format.h>

#include "model/kernels/compiled_code_cuda.h"
#include "parallel/rank/errors.h"
#endif

namespace flux {

void require_code_for([[maybe_unused]] at::Device device) {
#if FLUX_CUDA
  if (!device.is_cuda()) return;
  const c10::cuda::CUDAGuard current(device);
  CompiledCode code;
  const cudaError_t error = compiled_code(&code);
  if (error == cudaErrorNoKernelImageForDevice || error == cudaErrorUnsupportedPtxVersion) {
    const auto* card = at::cuda::getCurrentDeviceProperties();
    throw Invalid(fmt::format(
        "this build has no code for {} (compute capability {}.{}): build it where that card is, or for all of "
        "them with cmake -C .cmake/release.cmake",
        card->name, card->major, card->minor));
  }
  C10_CUDA_CHECK(error);
#endif
}

}  // namespace flux
