#include "built_with.h"

#if FLUX_CUDA

#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/DeviceGuard.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "tests/parallel/cards.h"

namespace flux::collectives {

/// What the ranks do, each on its card and a stream of its own: work(world, group, device).
template <typename Work>
void run_on_cards(int ranks, const Work& work) {
  run_ranks(ranks, [&](World& world) {
    const at::Device device = card_of(world);
    const c10::DeviceGuard current(device);
    const c10::cuda::CUDAStreamGuard own(c10::cuda::getStreamFromPool(true, device.index()));
    const auto group = world.group(all_ranks(world), Transport::nccl, device);
    work(world, *group, device);
  });
}

/// Over NCCL. A recorded gather is launched by no call of NCCL's.
class RecordedGatherGpu : public testing::TestWithParam<int> {};

/// work() once, then recorded and replayed ten thousand times.
template <typename Work>
void replay(const Work& work) {
  work();  // ranks connect
  at::cuda::CUDAGraph recorded;
  recorded.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
  work();
  recorded.capture_end();
  for (int i = 0; i < 10'000; ++i) recorded.replay();
}

TEST_P(RecordedGatherGpu, BringsNewValuesTenThousandTimes) {
  if (const std::string obstacle = too_few_cards(GetParam()); !obstacle.empty()) GTEST_SKIP() << obstacle;
  run_on_cards(GetParam(), [](World& world, Communicator& group, at::Device device) {
    const int64_t ranks = world.size();
    for (const int64_t n : {64, 1 << 20}) {  // by kernels, by copy engines
      const at::Tensor all = group.buffer({ranks, n}, at::dtype(at::kInt).device(device));
      const at::Tensor count = at::zeros({}, all.options());
      const at::Tensor wrong = at::zeros({}, all.options().dtype(at::kLong));
      const at::Tensor of_rank = at::arange(ranks, all.options()).unsqueeze(1);
      replay([&] {
        count.add_(1);
        all[world.rank()].copy_((count * ranks + world.rank()).expand({n}));
        group.all_gather(all, std::vector<int64_t>(ranks, 1)).wait();
        wrong.add_(all.ne(count * ranks + of_rank).sum());
      });
      EXPECT_EQ(wrong.item<int64_t>(), 0) << n << " values a rank";
      EXPECT_EQ(count.item<int>(), 10'001);
    }
  });
}

/// And goes back, as heads do.
TEST_P(RecordedGatherGpu, SendsNewValuesToEverybodyTenThousandTimes) {
  if (const std::string obstacle = too_few_cards(GetParam()); !obstacle.empty()) GTEST_SKIP() << obstacle;
  run_on_cards(GetParam(), [](World& world, Communicator& group, at::Device device) {
    const int64_t ranks = world.size();
    const std::vector<int64_t> ones(static_cast<size_t>(ranks), 1);
    for (const int64_t n : {64, 1 << 19}) {
      const at::Tensor sent = group.buffer({ranks, n}, at::dtype(at::kInt).device(device));
      const at::Tensor received = group.buffer({ranks, n}, at::dtype(at::kInt).device(device));
      const at::Tensor count = at::zeros({}, sent.options());
      const at::Tensor wrong = at::zeros({}, sent.options().dtype(at::kLong));
      const at::Tensor of_rank = at::arange(ranks, sent.options()).unsqueeze(1);
      replay([&] {
        count.add_(1);
        sent.copy_(((count * ranks + world.rank()) * ranks + of_rank).expand({ranks, n}));
        group.all_to_all(received, ones, sent, ones).wait();
        wrong.add_(received.ne((count * ranks + of_rank) * ranks + world.rank()).sum());
        group.all_to_all(sent, ones, received, ones).wait();
        wrong.add_(sent.ne((count * ranks + world.rank()) * ranks + of_rank).sum());
      });
      EXPECT_EQ(wrong.item<int64_t>(), 0) << n << " values a rank";
      EXPECT_EQ(count.item<int>(), 10'001);
    }
  });
}

/// Rows of every rank, none for some; the same on all ranks.
std::vector<int64_t> random_cut(int64_t rows, int64_t ranks, std::minstd_rand& random) {
  std::vector<int64_t> ends(static_cast<size_t>(ranks - 1));
  for (int64_t& end : ends) end = std::uniform_int_distribution<int64_t>(0, rows)(random);
  ends.push_back(rows);
  std::ranges::sort(ends);
  std::vector<int64_t> cut(ends.size());
  std::adjacent_difference(ends.begin(), ends.end(), cut.begin());
  return cut;
}

/// A rank may be late by several gathers of other ranks.
TEST_P(RecordedGatherGpu, TakesOtherRowsEveryTime) {
  if (const std::string obstacle = too_few_cards(GetParam()); !obstacle.empty()) GTEST_SKIP() << obstacle;
  run_on_cards(GetParam(), [](World& world, Communicator& group, at::Device device) {
    constexpr int64_t rows = 3000, n = 4096;  // 47 MiB: a rank has more pieces than others wait for
    const at::Tensor all = group.buffer({rows, n}, at::dtype(at::kInt).device(device));
    const at::Tensor slow = at::randn({2048, 2048}, all.options().dtype(at::kFloat));
    const at::Tensor wrong = at::zeros({}, all.options().dtype(at::kLong));
    std::minstd_rand random(1), own_random(static_cast<unsigned>(world.rank()) + 1);
    for (int i = 0; i < 300; ++i) {
      const std::vector<int64_t> cut = random_cut(rows, world.size(), random);
      const at::Tensor expected =
          i * world.size() + at::repeat_interleave(at::arange(world.size()), at::tensor(cut)).to(device, at::kInt);
      for (unsigned late = own_random() % 4; late > 0; --late) at::mm(slow, slow);
      const int64_t first = std::accumulate(cut.begin(), cut.begin() + world.rank(), int64_t{0});
      all.narrow(0, first, cut[static_cast<size_t>(world.rank())]).fill_(i * world.size() + world.rank());
      group.all_gather(all, cut).wait();
      wrong.add_(all.ne(expected.unsqueeze(1)).sum());
    }
    EXPECT_EQ(wrong.item<int64_t>(), 0);
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, RecordedGatherGpu, testing::ValuesIn(rank_counts({})));

}  // namespace flux::collectives

#endif
