#pragma once

#include <array>
#include <atomic>

#include "model/linear/eight_bit_product_cuda.h"

namespace flux {

/// launch_eight_bit_product of arguments that it has checked.
cudaError_t launch_int8_sm75(const EightBitProductOnDevice& product, cudaStream_t stream);
cudaError_t launch_int8_sm80(const EightBitProductOnDevice& product, cudaStream_t stream);
cudaError_t launch_int8_sm90(const EightBitProductOnDevice& product, cudaStream_t stream);
cudaError_t launch_fp8_sm89(const EightBitProductOnDevice& product, cudaStream_t stream);
cudaError_t launch_fp8_sm90(const EightBitProductOnDevice& product, cudaStream_t stream);

/// What a kernel is asked and told once on every card. Static, one for each kernel.
class PreparedKernel {
 public:
  /// Makes the kernel ready for that much shared memory on the current card and says how many multiprocessors that has.
  /// cudaErrorNotSupported where the code that the card would run is of an older architecture, or where there is none.
  cudaError_t prepare(const void* kernel, int architecture, int shared_bytes, int* multiprocessors);

 private:
  std::array<std::atomic<int>, 64> multiprocessors_{};  // by card; 0: not ready
};

}  // namespace flux
