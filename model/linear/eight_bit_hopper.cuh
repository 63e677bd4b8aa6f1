#pragma once

#include <cutlass/epilogue/collective/collective_builder.hpp>
#include <cutlass/gemm/collective/collective_builder.hpp>
#include <cutlass/gemm/kernel/gemm_universal.hpp>

#include "model/linear/eight_bit_epilogue.cuh"
#include "model/linear/eight_bit_kernels.h"

namespace flux {

/// Tiles that TMA brings and wgmma multiplies; the blocks stay and take tile after tile (CUTLASS 3).
/// Code: int8_t, or cutlass::float_e4m3_t, whose sums stay within the tensor cores from the first column to the last.
template <typename Code, typename Y, bool gelu>
struct HopperProduct {
  static constexpr bool integers = std::is_same_v<Code, int8_t>;
  using Sum = std::conditional_t<integers, int32_t, float>;
  using Schedule = std::conditional_t<integers, cutlass::gemm::KernelTmaWarpSpecializedCooperative,
                                      cutlass::gemm::KernelTmaWarpSpecializedCooperativeFP8FastAccum>;
  using Zero = cute::Int<0>;
  using One = cute::Int<1>;
  using Tile = cute::Shape<cute::Int<256>, cute::Int<128>, cute::Int<128>>;
  using Cluster = cute::Shape<One, cute::Int<2>, One>;
  using RowMajor = cutlass::layout::RowMajor;
  using ColumnMajor = cutlass::layout::ColumnMajor;
  using Arch = cutlass::arch::Sm90;
  using TensorOp = cutlass::arch::OpClassTensorOp;
  static constexpr int neighbours = 16 / sizeof(Y);

  template <typename... Ops>
  using Tree = cutlass::epilogue::fusion::Sm90EVT<Ops...>;
  using OfRow = cutlass::epilogue::fusion::Sm90ColBroadcast<0, Tile, float, float, cute::Stride<One, Zero, Zero>>;
  using OfColumn = cutlass::epilogue::fusion::Sm90RowBroadcast<0, Tile, float, float, cute::Stride<Zero, One, Zero>>;
  using Node = cutlass::epilogue::fusion::Sm90Compute<ScaledEpilogue<gelu>::template Node, Y, float,
                                                      cutlass::FloatRoundStyle::round_to_nearest>;
  using Fusion = Tree<Node, cutlass::epilogue::fusion::Sm90AccFetch, OfColumn, OfRow, OfColumn>;
  using Epilogue = typename cutlass::epilogue::collective::CollectiveBuilder<
      Arch, TensorOp, Tile, Cluster, cutlass::epilogue::collective::EpilogueTileAuto, Sum, float, void, RowMajor,
      neighbours, Y, RowMajor, neighbours, cutlass::epilogue::TmaWarpSpecializedCooperative, Fusion>::CollectiveOp;
  using Main = typename cutlass::gemm::collective::CollectiveBuilder<
      Arch, TensorOp, Code, RowMajor, 16, Code, ColumnMajor, 16, Sum, Tile, Cluster,
      cutlass::gemm::collective::StageCountAutoCarveout<static_cast<int>(sizeof(typename Epilogue::SharedStorage))>,
      Schedule>::CollectiveOp;
  using Kernel = cutlass::gemm::kernel::GemmUniversal<cute::Shape<int, int, int, int>, Main, Epilogue,
                                                      cutlass::gemm::PersistentScheduler>;

  static typename Kernel::Arguments arguments(const EightBitProductOnDevice& p, int multiprocessors) {
    typename Kernel::Arguments arguments{
        cutlass::gemm::GemmUniversalMode::kGemm,
        {static_cast<int>(p.rows), static_cast<int>(p.out), static_cast<int>(p.in), 1},
        {static_cast<const Code*>(p.x), {p.in, One{}, 0}, static_cast<const Code*>(p.weight), {p.in, One{}, 0}},
        {{}, nullptr, {}, static_cast<Y*>(p.y), {p.y_stride, One{}, 0}}};
    arguments.epilogue.thread = {{}, {p.weight_scales, 0, {}}, {p.x_scales, 0, {}}, {p.bias, 0, {}}, {}};
    arguments.hw_info.sm_count = multiprocessors;
    return arguments;
  }
};

template <typename Kernel>
cudaError_t launch_in_clusters(const void* kernel, typename Kernel::Params params, cudaStream_t stream) {
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {cute::size<0>(typename Kernel::ClusterShape{}),
                            cute::size<1>(typename Kernel::ClusterShape{}), 1};
  cudaLaunchConfig_t config{};
  config.gridDim = Kernel::get_grid_shape(params);
  config.blockDim = Kernel::get_block_shape();
  config.dynamicSmemBytes = Kernel::SharedStorageSize;
  config.stream = stream;
  config.attrs = &cluster;
  config.numAttrs = 1;
  void* arguments[] = {&params};
  return cudaLaunchKernelExC(&config, kernel, arguments);
}

template <typename Code>
cudaError_t launch_eight_bit_hopper(const EightBitProductOnDevice& product, cudaStream_t stream) {
  return with_epilogue(product, [&]<typename Y, bool gelu>(Y, std::bool_constant<gelu>) {
    using Product = HopperProduct<Code, Y, gelu>;
    using Kernel = typename Product::Kernel;
    static PreparedKernel prepared;
    const auto* kernel = reinterpret_cast<const void*>(cutlass::device_kernel<Kernel>);
    int multiprocessors = 0;
    const cudaError_t error = prepared.prepare(kernel, 90, Kernel::SharedStorageSize, &multiprocessors);
    if (error != cudaSuccess) return error;
    const auto arguments = Product::arguments(product, multiprocessors);
    // The kernel must ask for no memory of its own, which it would have to be given on every call.
    if (!Kernel::can_implement(arguments) || Kernel::get_workspace_size(arguments) != 0) return cudaErrorInvalidValue;
    return launch_in_clusters<Kernel>(kernel, Kernel::to_underlying_arguments(arguments, nullptr), stream);
  });
}

}  // namespace flux
