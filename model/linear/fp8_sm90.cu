#include "model/linear/eight_bit_hopper.cuh"

namespace flux {

cudaError_t launch_fp8_sm90(const EightBitProductOnDevice& product, cudaStream_t stream) {
  return launch_eight_bit_hopper<cutlass::float_e4m3_t>(product, stream);
}

}  // namespace flux
