#include "tests/model/denoiser_suite.h"

namespace flux::denoising {

const Setting on_threads{[](World& world) { return everybody(world); }, on_cpu};
INSTANTIATE_TEST_SUITE_P(Threads, DenoiserRanks, testing::Combine(testing::Values(2, 5), testing::Values(on_threads)));

at::Device first_card(int) { return {at::kCUDA, 0}; }
const Setting on_one_card{[](World& world) { return everybody(world, first_card(0)); }, first_card};
INSTANTIATE_TEST_SUITE_P(ThreadsGpu, DenoiserRanks,
                         testing::Combine(testing::Values(1, 2, 5), testing::Values(on_one_card)));

at::Device own_card(int rank) { return {at::kCUDA, static_cast<at::DeviceIndex>(rank)}; }

std::unique_ptr<Communicator> nccl_group(World& world) {
  std::vector<int> ranks;
  for (int rank = 0; rank < world.size(); ++rank) ranks.push_back(rank);
  return world.group(ranks, Transport::nccl, own_card(world.rank()));
}

const Setting on_nccl{nccl_group, own_card};
INSTANTIATE_TEST_SUITE_P(NcclGpu, DenoiserRanks, testing::Combine(testing::Values(1, 2, 3), testing::Values(on_nccl)));

}  // namespace flux::denoising
