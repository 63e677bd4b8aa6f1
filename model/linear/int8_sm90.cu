#include "model/linear/eight_bit_hopper.cuh"

namespace flux {

cudaError_t launch_int8_sm90(const EightBitProductOnDevice& product, cudaStream_t stream) {
  return launch_eight_bit_hopper<int8_t>(product, stream);
}

}  // namespace flux
