#include "model/linear/eight_bit_mma.cuh"

namespace flux {
namespace {

// As int8's of sm80, with Ada's instruction.
using Tiles = MmaTiles<cutlass::float_e4m3_t, cutlass::arch::Sm89, 3, cutlass::gemm::GemmShape<128, 128, 64>,
                       cutlass::gemm::GemmShape<64, 64, 64>, cutlass::gemm::GemmShape<16, 8, 32>>;

}  // namespace

cudaError_t launch_fp8_sm89(const EightBitProductOnDevice& product, cudaStream_t stream) {
  return launch_eight_bit_mma<Tiles>(product, stream);
}

}  // namespace flux
