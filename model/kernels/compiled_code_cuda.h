#pragma once

#include <cuda_runtime_api.h>

namespace flux {

/// What a card runs of this build, each as a compute capability (86).
struct CompiledCode {
  int written_for = 0;  // what the kernels were compiled for: older than the card where its driver translates PTX
  int runs_on = 0;      // the card's instructions that they became
};

/// Of the current card. cudaErrorNoKernelImageForDevice: this build has nothing for it.
cudaError_t compiled_code(CompiledCode* code);

}  // namespace flux
