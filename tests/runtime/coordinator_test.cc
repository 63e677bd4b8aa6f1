#include "runtime/coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "runtime/sink/dropped_pictures.h"

namespace flux {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class NoRequests : public Source {
 public:
  std::optional<Request> next() override { return std::nullopt; }
  int64_t pictures() const override { return 0; }
  Workload workload() const override { return {{0, 0}, 0}; }
};

/// As on a disk that is slow to take the gallery.
class SlowSink : public DroppedPictures {
 public:
  void finish(std::vector<Record>) override { end_ = Clock::now() + 3s; }
  bool finished() const override { return Clock::now() >= end_; }

 private:
  Clock::time_point end_ = Clock::time_point::max();
};

TEST(Coordinator, ShowsLifeWhileTheSinkFinishes) {
  const auto worlds = thread_worlds(2, {});
  const Placement placement = place({}, 1, {{"node", 1, 1, {}}, {"node", 2, 1, {}}}, Demand{});
  NoRequests source;
  SlowSink sink;
  RunLog log({});
  const Departure departure(to_stderr);
  Coordinator coordinator({*worlds[0], source, sink, log, departure}, placement, {});
  for (int rank : {0, 1}) coordinator.handle(rank, Ready{});
  for (; !coordinator.ending(); std::this_thread::sleep_for(10ms)) coordinator.tick();
  EXPECT_EQ(coordinator.ending()->exit_code, 0);
  int signs = 0;
  while (auto received = worlds[1]->mailbox().receive(0s)) {
    const Message message = unpack(std::move(received->parcel));
    signs += std::holds_alternative<Present>(std::get<Order>(message)) ? 1 : 0;
  }
  EXPECT_GE(signs, 3) << "one at first, two a second since then";
}

/// A request that nobody encodes.
class OneRequest : public NoRequests {
 public:
  std::optional<Request> next() override {
    return std::exchange(there_, false) ? std::optional(Request{}) : std::nullopt;
  }

 private:
  bool there_ = true;
};

/// Why the run ends where rank 0 fails, after the ranks of the other host have said nothing for longer than they
/// should.
std::string end_after_a_silence(const std::function<void(Coordinator&)>& silence) {
  const auto worlds = thread_worlds(3, {});
  const Placement placement = place({}, 1, {{"node", 1, 1, {}}, {"other", 2, 1, {}}, {"other", 3, 1, {}}}, Demand{});
  OneRequest source;
  DroppedPictures sink;
  RunLog log({});
  const Departure departure(to_stderr);
  Coordinator coordinator({*worlds[0], source, sink, log, departure}, placement, {});
  for (int rank : {0, 1, 2}) coordinator.handle(rank, Ready{});
  coordinator.tick();
  silence(coordinator);
  coordinator.handle(0, RankFailed{false, "broken"});
  return coordinator.ending().value_or(Ending{}).why;
}

TEST(Coordinator, AHostWhoseRanksAreAllSilentIsLost) {
  const std::string why = end_after_a_silence([](Coordinator& coordinator) {
    for (const auto end = Clock::now() + 1200ms; Clock::now() < end; std::this_thread::sleep_for(10ms))
      coordinator.tick();
  });
  EXPECT_THAT(why, testing::EndsWith("failed: broken; nothing is heard of other"));
}

TEST(Coordinator, NobodyWasSilentWhileTheCoordinatorWasStopped) {
  const std::string why = end_after_a_silence([](Coordinator&) { std::this_thread::sleep_for(1200ms); });
  EXPECT_THAT(why, testing::EndsWith("failed: broken"));
}

}  // namespace
}  // namespace flux
