#include "built_with.h"

#if FLUX_CUDA

#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/DeviceGuard.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "tests/parallel/cards.h"

namespace flux::collectives {

/// Over NCCL. A recorded gather is launched by no call of NCCL's.
class RecordedGatherGpu : public testing::TestWithParam<int> {};

TEST_P(RecordedGatherGpu, BringsNewValuesTenThousandTimes) {
  if (const std::string obstacle = too_few_cards(GetParam()); !obstacle.empty()) GTEST_SKIP() << obstacle;
  run_ranks(GetParam(), [](World& world) {
    const at::Device device = card_of(world);
    const c10::DeviceGuard current(device);
    const c10::cuda::CUDAStreamGuard own(c10::cuda::getStreamFromPool(true, device.index()));
    const auto group = world.group(all_ranks(world), Transport::nccl, device);
    const int64_t ranks = world.size();
    for (const int64_t n : {64, 1 << 20}) {  // by kernels, by copy engines
      const at::Tensor all = group->buffer({ranks, n}, at::dtype(at::kInt).device(device));
      const at::Tensor count = at::zeros({}, all.options());
      const at::Tensor wrong = at::zeros({}, all.options().dtype(at::kLong));
      const at::Tensor of_rank = at::arange(ranks, all.options()).unsqueeze(1);
      const auto work = [&] {
        count.add_(1);
        all[world.rank()].copy_((count * ranks + world.rank()).expand({n}));
        group->all_gather(all, std::vector<int64_t>(ranks, 1)).wait();
        wrong.add_(all.ne(count * ranks + of_rank).sum());
      };
      work();  // ranks connect
      at::cuda::CUDAGraph recorded;
      recorded.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
      work();
      recorded.capture_end();
      for (int i = 0; i < 10'000; ++i) recorded.replay();
      EXPECT_EQ(wrong.item<int64_t>(), 0) << n << " values a rank";
      EXPECT_EQ(count.item<int>(), 10'001);
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, RecordedGatherGpu, testing::ValuesIn(rank_counts({})));

}  // namespace flux::collectives

#endif
