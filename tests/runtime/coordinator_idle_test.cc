// The coordinator and its messages in real time, with ranks that sleep for as long as stages would take.

#include <gtest/gtest.h>

#include <thread>

#include "runtime/coordinator.h"
#include "runtime/inbox.h"
#include "runtime/rank_loop.h"
#include "runtime/sink/dropped_pictures.h"

namespace flux {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr int64_t kPictures = 80;
constexpr int kReplicas = 4;

/// The first half is twice as high: longest first, as the program's sources have it.
class Twofold : public Source {
 public:
  std::optional<Request> next() override {
    if (next_ == kPictures) return std::nullopt;
    Request request;
    request.index = request.first_picture = next_++;
    request.prompt.picture.height = request.index < kPictures / 2 ? 1024 : 512;
    return request;
  }
  int64_t pictures() const override { return kPictures; }
  Workload workload() const override { return {{4096, 512}, kPictures}; }

 private:
  int64_t next_ = 0;
};

struct Drawing {
  Clock::time_point began, ended;
};

/// What a rank does about orders, in the time that they would take.
class SleepingRank {
 public:
  explicit SleepingRank(World& world) : world_(world), thread_([this] { work(); }) {}
  ~SleepingRank() {
    orders_.close();
    thread_.join();
  }

  void put(Order order) { orders_.put(std::move(order)); }

  const std::vector<Drawing>& drawings() const { return drawings_; }

 private:
  void work() {
    report(Ready{});
    while (auto order = orders_.take()) std::visit([this](const auto& kind) { obey(kind); }, *order);
  }

  void obey(const Encode& encode) {
    std::this_thread::sleep_for(10ms);
    report(Encoded{encode.request, 0.01, {}, {}});
  }
  void obey(const Denoise& denoise) {
    constexpr int64_t steps = 4;
    Drawing drawing{Clock::now(), {}};
    for (int64_t step = 0; step < steps; ++step) {
      report(Step{denoise.picture, step, steps});
      std::this_thread::sleep_for(denoise.drawn.height * 50us);
    }
    drawing.ended = Clock::now();
    drawings_.push_back(drawing);
    report(Denoised{denoise.picture, 0.1, at::zeros({16, 64})});
  }
  void obey(const Decode& decode) {
    std::this_thread::sleep_for(10ms);
    report(Decoded{decode.picture, 0.01, {at::zeros({16, 16, 3}, at::kByte)}});
  }
  void obey(const Present&) {}
  void obey(const Stop&) {}

  void report(const Report& report) { world_.mailbox().send(Placement::coordinator, pack(report)); }

  World& world_;
  Inbox<Order> orders_;
  std::vector<Drawing> drawings_;
  std::thread thread_;
};

/// Passes orders on until the run has ended.
void run_rank(World& world, SleepingRank& rank, Coordinator* coordinator) {
  while (coordinator == nullptr || !coordinator->ending()) {
    if (auto received = world.mailbox().receive(10ms)) {
      Message message = unpack(std::move(received->parcel));
      auto* order = std::get_if<Order>(&message);
      if (order == nullptr)
        coordinator->handle(received->from, std::move(std::get<Report>(message)));
      else if (std::holds_alternative<Stop>(*order))
        return;
      else
        rank.put(std::move(*order));
    }
    if (coordinator != nullptr) coordinator->tick();
  }
}

TEST(CoordinatorInRealTime, ReplicasDrawAllTheTimeWherePicturesDifferTwofold) {
  const auto worlds = thread_worlds(1 + kReplicas, {});
  PlacementOptions options;
  options.replicas = {kReplicas};
  const Placement placement = place(options, 1, std::vector<RankFacts>(worlds.size(), {"node", 1, 1, {}}), {4096, 512});
  ASSERT_EQ(placement.replicas.size(), size_t{kReplicas});
  Twofold source;
  DroppedPictures sink;
  RunLog log({});
  const Departure departure(to_stderr);
  Coordinator coordinator({*worlds[0], source, sink, log, departure}, placement, {});
  std::vector<std::unique_ptr<SleepingRank>> ranks;
  for (const auto& world : worlds) ranks.push_back(std::make_unique<SleepingRank>(*world));
  std::vector<std::thread> threads;
  for (size_t rank = 1; rank < worlds.size(); ++rank)
    threads.emplace_back([&, rank] { run_rank(*worlds[rank], *ranks[rank], nullptr); });
  run_rank(*worlds[0], *ranks[0], &coordinator);
  stop_others(*worlds[0], 0);
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(coordinator.ending()->exit_code, 0);

  Clock::time_point first = Clock::time_point::max();
  Clock::time_point last{};
  Clock::duration drawing{};
  int64_t pictures = 0;
  for (const auto& rank : ranks)
    for (const auto& [began, ended] : rank->drawings()) {
      first = std::min(first, began);
      last = std::max(last, ended);
      drawing += ended - began;
      ++pictures;
    }
  EXPECT_EQ(pictures, kPictures);
  // No order and no replica can make it shorter than all drawings as they were, spread evenly.
  const double bound = std::chrono::duration<double>(drawing).count() / kReplicas;
  EXPECT_LT(std::chrono::duration<double>(last - first).count(), bound * 1.03);
}

}  // namespace
}  // namespace flux
