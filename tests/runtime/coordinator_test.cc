#include "runtime/coordinator.h"

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

}  // namespace
}  // namespace flux
