#include "runtime/gather_times.h"

#include <gmock/gmock.h>

#include "tests/parallel/ranks.h"

namespace flux {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::Ge;
using testing::SizeIs;

TEST(GatherTimes, EveryRankTimesAsManyAsAreAskedFor) {
  run_ranks(3, [](World& world) {
    const auto group = world.group({0, 1, 2}, Transport::thread, at::kCPU);
    for (const std::vector<int64_t>& bytes : {even_bytes(4 << 10, 3), {0, 5, 7}}) {
      const Gathers gathers = timed_gathers(*group, at::kCPU, bytes, 4);
      EXPECT_THAT(gathers.milliseconds, SizeIs(4));
      EXPECT_THAT(gathers.milliseconds, Each(Ge(0)));
      EXPECT_EQ(gathers.carrier, "host memory");
    }
  });
}

TEST(GatherTimes, EvenBytesAreWholeAndNeverNone) {
  EXPECT_THAT(even_bytes(4 << 10, 3), ElementsAre(1365, 1365, 1365));
  EXPECT_THAT(even_bytes(1, 2), ElementsAre(1, 1));
}

}  // namespace
}  // namespace flux
