#pragma once

#include <cutlass/epilogue/threadblock/default_epilogue_tensor_op.h>
#include <cutlass/epilogue/threadblock/fusion/visitors.hpp>
#include <cutlass/gemm/kernel/default_gemm_universal_with_visitor.h>

#include "model/linear/eight_bit_epilogue.cuh"
#include "model/linear/eight_bit_kernels.h"

namespace flux {

/// What a kernel for warps' mma instructions (CUTLASS 2) multiplies, and how it is cut. Shapes are
/// cutlass::gemm::GemmShape.
template <typename Code_, typename Arch_, int stages_, typename Block_, typename Warp_, typename Instruction_>
struct MmaTiles {
  using Code = Code_;
  static constexpr bool integers = std::is_same_v<Code, int8_t>;
  using Sum = std::conditional_t<integers, int32_t, float>;
  using Operator =
      std::conditional_t<integers, cutlass::arch::OpMultiplyAddSaturate, cutlass::arch::OpMultiplyAddFastAccum>;
  using Arch = Arch_;
  using Block = Block_;
  using Warp = Warp_;
  using Instruction = Instruction_;
  static constexpr int architecture = Arch::kMinComputeCapability;
  static constexpr int stages = stages_;
};

template <typename Tiles, typename Y, bool gelu>
struct MmaProduct {
  template <typename... Ops>
  using Tree = cutlass::epilogue::threadblock::Sm80EVT<Ops...>;
  using Zero = cute::Int<0>;
  using One = cute::Int<1>;
  static constexpr auto rounding = cutlass::FloatRoundStyle::round_to_nearest;

  // Four neighbours of a sum a thread, whatever they are rounded to.
  using Threads =
      cutlass::epilogue::threadblock::OutputTileThreadLayout<typename Tiles::Block, typename Tiles::Warp, float, 4, 1>;
  using OfRow = cutlass::epilogue::threadblock::VisitorColBroadcast<Threads, float, cute::Stride<One, Zero, Zero>>;
  using OfColumn = cutlass::epilogue::threadblock::VisitorRowBroadcast<Threads, float, cute::Stride<Zero, One, Zero>>;
  using Node = cutlass::epilogue::threadblock::VisitorCompute<ScaledEpilogue<gelu>::template Node, Y, float, rounding>;
  using Store = cutlass::epilogue::threadblock::VisitorAuxStore<Threads, Y, rounding, cute::Stride<int64_t, One, Zero>>;
  using Epilogue = Tree<Store, Tree<Node, cutlass::epilogue::threadblock::VisitorAccFetch, OfColumn, OfRow, OfColumn>>;

  using Kernel = typename cutlass::gemm::kernel::DefaultGemmWithVisitor<
      typename Tiles::Code, cutlass::layout::RowMajor, cutlass::ComplexTransform::kNone, 16, typename Tiles::Code,
      cutlass::layout::ColumnMajor, cutlass::ComplexTransform::kNone, 16, float, cutlass::layout::RowMajor, 4,
      typename Tiles::Sum, float, cutlass::arch::OpClassTensorOp, typename Tiles::Arch, typename Tiles::Block,
      typename Tiles::Warp, typename Tiles::Instruction, Epilogue,
      cutlass::gemm::threadblock::GemmIdentityThreadblockSwizzle<8>, Tiles::stages, typename Tiles::Operator,
      1>::GemmKernel;

  static typename Kernel::Arguments arguments(const EightBitProductOnDevice& p) {
    const cutlass::gemm::GemmCoord shape(static_cast<int>(p.rows), static_cast<int>(p.out), static_cast<int>(p.in));
    const typename Epilogue::Arguments epilogue{
        {{}, {p.weight_scales, 0, {}}, {p.x_scales, 0, {}}, {p.bias, 0, {}}, {}},
        {static_cast<Y*>(p.y), {p.y_stride, One{}, Zero{}}}};
    constexpr int one_product = 1, no_batches = 0, unused = 0;
    return {cutlass::gemm::GemmUniversalMode::kGemm,
            shape,
            one_product,
            epilogue,
            p.x,
            p.weight,
            nullptr,
            nullptr,
            no_batches,
            no_batches,
            no_batches,
            no_batches,
            p.in,
            p.in,
            unused,
            unused};
  }
};

#ifdef __CUDA_ARCH__
constexpr int compiled_for = __CUDA_ARCH__ / 10;
#else
constexpr int compiled_for = 0;
#endif

/// Empty in code of architectures that lack the kernel's instructions.
template <typename Kernel, int architecture>
__global__ void __launch_bounds__(Kernel::kThreadCount)
    eight_bit_product_mma(const __grid_constant__ typename Kernel::Params params) {
  if constexpr (compiled_for >= architecture) {
    extern __shared__ int4 shared[];
    Kernel::invoke(params, *reinterpret_cast<typename Kernel::SharedStorage*>(shared));
  }
}

template <typename Tiles>
cudaError_t launch_eight_bit_mma(const EightBitProductOnDevice& product, cudaStream_t stream) {
  return with_epilogue(product, [&]<typename Y, bool gelu>(Y, std::bool_constant<gelu>) {
    using Product = MmaProduct<Tiles, Y, gelu>;
    using Kernel = typename Product::Kernel;
    static PreparedKernel prepared;
    constexpr auto kernel = eight_bit_product_mma<Kernel, Tiles::architecture>;
    constexpr int shared_bytes = sizeof(typename Kernel::SharedStorage);
    int multiprocessors = 0;
    const cudaError_t error =
        prepared.prepare(reinterpret_cast<const void*>(kernel), Tiles::architecture, shared_bytes, &multiprocessors);
    if (error != cudaSuccess) return error;
    const typename Kernel::Params params(Product::arguments(product), multiprocessors, 1);
    kernel<<<params.get_grid_dims(), Kernel::kThreadCount, shared_bytes, stream>>>(params);
    return cudaGetLastError();
  });
}

}  // namespace flux
