#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "built_with.h"
#include "parallel/rank/errors.h"
#include "tests/parallel/ranks.h"

#if FLUX_CUDA
namespace flux {
namespace {

/// NCCL, which reads this once in a process, finds no interface to introduce ranks by: rank 0 hears of it, the others
/// wait for rank 0.
TEST(NcclThatCannotBegin, EndsTheGroupOnAllRanks) {
  setenv("NCCL_SOCKET_IFNAME", "=no-such-interface", 1);
  const auto worlds = thread_worlds(3, {});
  std::vector<std::jthread> threads;
  for (const auto& world : worlds)
    threads.emplace_back([&] {
      try {
        world->group({0, 1, 2}, Transport::nccl, at::kCPU);
        ADD_FAILURE() << "nothing was thrown";
      } catch (const Aborted& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr("NCCL: "));
      }
    });
}

}  // namespace
}  // namespace flux
#endif
