#include "runtime/progress.h"

#include <gmock/gmock.h>

#include "tests/runtime/run_folder.h"

namespace flux {
namespace {

using namespace std::chrono_literals;

class ProgressTest : public testing::Test {
 protected:
  /// The encoder rank and two replicas of one rank each.
  static Placement two_replicas() {
    PlacementOptions options;
    options.replicas = {2};
    return place(options, 0, std::vector<RankFacts>(3, RankFacts{"node", 1, 2, {}}), {});
  }

  void draw(Time now, int replica, double seconds) {
    Record record = drawn(0, "a cat");
    record.replica = replica;
    record.seconds.denoise = seconds;
    progress.on(now, record);
  }

  const Placement placement = two_replicas();
  Progress progress{ProgressStyle::none, 100, 10, placement};
};

TEST_F(ProgressTest, SaysWhatAnOperatorAsks) {
  EXPECT_EQ(progress.state(), "10 of 100 pictures");
  progress.on(20s, Command(command::Begin{}));
  progress.on(30s, Event(event::Alive{1, 0, 3, 28}));
  EXPECT_EQ(progress.state(), "10 of 100 pictures, step 3/28");
  progress.on(40s, Event(event::Alive{2, 1, 28, 28}));
  draw(50s, 0, 29);
  draw(80s, 1, 41.5);
  EXPECT_EQ(
      progress.state(),
      "12 of 100 pictures, replica 0 step 3/28, replica 1 step 28/28, 120 an hour, 44 min left, slowest replica 1 "
      "(41.5 s a picture)");
  Record failed = drawn(3, "");
  failed.error = "no paint";
  progress.on(80s, failed);
  EXPECT_THAT(progress.state(), testing::StartsWith("13 of 100 pictures, 1 failed, "));
}

TEST_F(ProgressTest, SpeaksOfHoursWhereThereAreMany) {
  Progress slow{ProgressStyle::none, 1000, 0, placement};
  slow.on(0s, Command(command::Begin{}));
  Record record = drawn(0, "a cat");
  slow.on(25s, record);
  EXPECT_THAT(slow.state(), testing::HasSubstr("144 an hour, 6 h 56 min left"));
}

}  // namespace
}  // namespace flux
