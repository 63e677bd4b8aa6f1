#include "model/linear/eight_bit_mma.cuh"

namespace flux {
namespace {

// 48 KB of shared memory: two blocks on every multiprocessor, also where it has 100 KB.
using Tiles = MmaTiles<int8_t, cutlass::arch::Sm80, 3, cutlass::gemm::GemmShape<128, 128, 64>,
                       cutlass::gemm::GemmShape<64, 64, 64>, cutlass::gemm::GemmShape<16, 8, 32>>;

}  // namespace

cudaError_t launch_int8_sm80(const EightBitProductOnDevice& product, cudaStream_t stream) {
  return launch_eight_bit_mma<Tiles>(product, stream);
}

}  // namespace flux
