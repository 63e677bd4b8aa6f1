#include "model/linear/eight_bit_mma.cuh"

namespace flux {
namespace {

// Without cp.async a tile is on its way in registers: two stages, 32 KB of shared memory.
using Tiles = MmaTiles<int8_t, cutlass::arch::Sm75, 2, cutlass::gemm::GemmShape<128, 128, 64>,
                       cutlass::gemm::GemmShape<64, 64, 64>, cutlass::gemm::GemmShape<8, 8, 16>>;

}  // namespace

cudaError_t launch_int8_sm75(const EightBitProductOnDevice& product, cudaStream_t stream) {
  return launch_eight_bit_mma<Tiles>(product, stream);
}

}  // namespace flux
