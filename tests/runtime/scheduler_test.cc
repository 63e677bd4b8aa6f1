#include "runtime/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <queue>
#include <random>
#include <set>

namespace flux {
namespace {

using namespace std::chrono_literals;

/// Ranks that take random times, and a clock. Counts what happens to every request and picture.
class Simulation {
 public:
  Simulation(Scheduler::Setup setup, int pictures, unsigned seed)
      : random_(seed), pictures_(pictures), setup_(setup), drawing_(setup.replicas.size()), scheduler_(setup) {}

  /// Requests that fail when they are encoded.
  std::set<int64_t> bad;
  /// A replica stops reporting steps from this time on.
  int hung_replica = -1;
  int hung_rank = -1;
  /// Of each request, the last one's are cut to what is left.
  std::function<int64_t(int64_t request)> pictures_of_request = [](int64_t) { return 1; };

  std::map<int64_t, int> encoded;                     // by request
  std::map<int64_t, int> denoised, decoded, written;  // by picture
  std::vector<int64_t> order;                         // of denoising
  Time idle_with_work{0};  // a replica was idle while a conditioned picture was given to nobody
  int passed_over = 0;     // pictures given to wait behind another while a replica was idle
  size_t most_conditioned = 0, most_latents = 0;
  int begun = 0;
  bool stopped = false;
  std::vector<command::Abort> aborts;
  Time now{0};

  void run() {
    for (int rank : ranks()) later(span(10, 5000), [this, rank] { tell(event::Ready{rank}); });
    int64_t pictures = 0;
    for (int64_t request = 0; pictures < pictures_; ++request) {
      const int64_t count = std::min(pictures_of_request(request), pictures_ - pictures);
      requests_[request] = {pictures, count};
      tell(event::Submitted{request, pictures, count});
      pictures += count;
    }
    tell(event::Closed{});
    for (int64_t tick = 1; !over() && tick < 2'000'000; ++tick) {
      while (!events_.empty() && events_.top().time <= now) {
        auto action = events_.top().action;
        events_.pop();
        action();
      }
      if (now.count() % 1000 == 0) {
        for (int rank : ranks())
          if (rank != hung_rank) alive(rank);
        tell(event::Tick{});
      }
      now += 10ms;
      if (conditioned_ > 0) idle_with_work += 10ms * idle_replicas();
    }
  }

  bool over() const { return stopped || !aborts.empty(); }
  bool is_bad(int64_t picture) const {
    for (const auto& [request, range] : requests_)
      if (picture >= range.first && picture < range.first + range.second) return bad.count(request) > 0;
    return false;
  }
  const std::map<int64_t, std::pair<int64_t, int64_t>>& requests() const { return requests_; }

 private:
  struct Later {
    Time time;
    int64_t order;
    std::function<void()> action;
    bool operator<(const Later& other) const { return std::tie(time, order) > std::tie(other.time, other.order); }
  };

  std::set<int> ranks() const {
    std::set<int> all(setup_.encoders.begin(), setup_.encoders.end());
    all.insert(setup_.decoders.begin(), setup_.decoders.end());
    for (const auto& replica : setup_.replicas) all.insert(replica.begin(), replica.end());
    return all;
  }
  /// That have nothing to do and need not wait for the decoder.
  int idle_replicas() const {
    if (begun == 0 || latents_ >= 2 * drawing_.size() + 2) return 0;
    return static_cast<int>(
        std::count_if(drawing_.begin(), drawing_.end(), [](const auto& queue) { return queue.empty(); }));
  }
  Time span(int low, int high) { return Time(std::uniform_int_distribution<int>(low, high)(random_)); }
  void later(Time after, std::function<void()> action) { events_.push({now + after, count_++, std::move(action)}); }

  void alive(int rank) {
    for (size_t r = 0; r < setup_.replicas.size(); ++r)
      for (int member : setup_.replicas[r])
        if (member == rank && !drawing_[r].empty()) return tell(event::Alive{rank, drawing_[r].front(), 0, 4});
    tell(event::Alive{rank, -1, 0, 0});
  }

  void tell(const Event& event) {
    if (const auto* ready = std::get_if<event::Ready>(&event)) ready_.insert(ready->rank);
    if (over()) return;
    for (const auto& command : scheduler_.on(event, now)) std::visit([this](const auto& c) { obey(c); }, command);
  }

  void obey(const command::Begin&) {
    EXPECT_EQ(ready_, ranks()) << "nothing begins before everything is loaded";
    ++begun;
  }
  void obey(const command::Encode& encode) {
    EXPECT_EQ(begun, 1);
    EXPECT_TRUE(encoding_.insert(encode.rank).second) << "one prompt at a time on a rank";
    later(span(10, 900), [this, encode] {
      encoding_.erase(encode.rank);
      if (bad.count(encode.request)) return tell(event::RequestFailed{encode.request});
      ++encoded[encode.request];
      conditioned_ += requests_[encode.request].second;
      most_conditioned = std::max(most_conditioned, conditioned_);
      tell(event::Encoded{encode.request});
    });
  }
  void obey(const command::Denoise& denoise) {
    --conditioned_;
    auto& queue = drawing_[denoise.replica];
    if (!queue.empty() && idle_replicas() > 0) ++passed_over;
    queue.push_back(denoise.picture);
    EXPECT_LE(queue.size(), 2u) << "one drawn, one waiting";
    order.push_back(denoise.picture);
    if (queue.size() == 1) draw(denoise.replica);
  }
  void draw(int replica) { step(replica, 1); }
  void step(int replica, int64_t step_number) {
    if (replica == hung_replica && now > 20s) return;
    later(span(20, 400), [this, replica, step_number] {
      const int64_t picture = drawing_[replica].front();
      for (int rank : setup_.replicas[replica]) tell(event::Alive{rank, picture, step_number, 4});
      if (step_number < 4) return step(replica, step_number + 1);
      ++denoised[picture];
      drawing_[replica].pop_front();
      most_latents = std::max(most_latents, ++latents_);
      tell(event::Denoised{picture});
      if (!drawing_[replica].empty()) draw(replica);
    });
  }
  void obey(const command::Decode& decode) {
    EXPECT_TRUE(decoding_.insert(decode.rank).second) << "one picture at a time on a rank";
    --latents_;
    later(span(10, 700), [this, decode] {
      decoding_.erase(decode.rank);
      ++decoded[decode.picture];
      tell(event::Decoded{decode.picture});
    });
  }
  void obey(const command::Write& write) {
    later(span(1, 100), [this, write] {
      ++written[write.picture];
      tell(event::Written{write.picture});
    });
  }
  void obey(const command::Stop&) { stopped = true; }
  void obey(const command::Abort& abort) { aborts.push_back(abort); }

  std::mt19937 random_;
  int64_t pictures_;
  Scheduler::Setup setup_;
  std::map<int64_t, std::pair<int64_t, int64_t>> requests_;  // first picture and how many
  std::vector<std::deque<int64_t>> drawing_;
  Scheduler scheduler_;
  std::priority_queue<Later> events_;
  int64_t count_ = 0;
  size_t conditioned_ = 0, latents_ = 0;
  std::set<int> ready_, encoding_, decoding_;
};

class SchedulerSimulation : public testing::TestWithParam<int> {};

TEST_P(SchedulerSimulation, DrawsEveryPictureOnceInOrderAndStops) {
  std::mt19937 random(GetParam());
  const auto between = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  Scheduler::Setup setup{{}, {}, {}, 60s, 600s};
  int rank = 0;
  for (int e = between(1, 3); e > 0; --e) setup.encoders.push_back(rank++);
  if (between(0, 1) == 0)
    setup.decoders = setup.encoders;
  else
    for (int d = between(1, 3); d > 0; --d) setup.decoders.push_back(rank++);
  for (int r = between(1, 5); r > 0; --r) {
    setup.replicas.push_back({});
    for (int p = between(1, 4); p > 0; --p) setup.replicas.back().push_back(rank++);
  }
  const int pictures = between(0, 60);
  const int most_of_a_request = between(1, 5);
  Simulation simulation(setup, pictures, GetParam());
  simulation.pictures_of_request = [&](int64_t request) { return 1 + request % most_of_a_request; };
  for (int64_t request = 0; request < pictures; ++request)
    if (random() % 10 == 0) simulation.bad.insert(request);
  simulation.run();

  EXPECT_TRUE(simulation.stopped);
  EXPECT_EQ(simulation.begun, 1);
  for (const auto& [request, range] : simulation.requests())
    EXPECT_EQ(simulation.encoded[request], simulation.bad.count(request) ? 0 : 1)
        << "encoded once, however many pictures";
  for (int64_t picture = 0; picture < pictures; ++picture) {
    const int expected = simulation.is_bad(picture) ? 0 : 1;
    EXPECT_EQ(simulation.denoised[picture], expected);
    EXPECT_EQ(simulation.decoded[picture], expected);
    EXPECT_EQ(simulation.written[picture], expected);
  }
  // Several encoders may finish in another order than they began.
  EXPECT_TRUE(setup.encoders.size() > 1 || std::is_sorted(simulation.order.begin(), simulation.order.end()));
  EXPECT_LE(simulation.most_conditioned, setup.replicas.size() + most_of_a_request * setup.encoders.size());
  EXPECT_LE(simulation.most_latents, 4 * setup.replicas.size() + 2);
}

INSTANTIATE_TEST_SUITE_P(Seeds, SchedulerSimulation, testing::Range(0, 60));

Scheduler::Setup one_encoder(std::vector<std::vector<int>> replicas) {
  return {{0}, {0}, std::move(replicas), 60s, 600s};
}

TEST(Scheduler, NoReplicaIsIdleWhileConditionedWorkIsThere) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    Simulation simulation(one_encoder({{1}, {2, 3}, {4}}), 40, seed);
    simulation.run();
    EXPECT_TRUE(simulation.stopped);
    EXPECT_EQ(simulation.idle_with_work, 0ms) << "seed " << seed;
    EXPECT_EQ(simulation.passed_over, 0) << "seed " << seed;
  }
}

TEST(Scheduler, AReplicaThatHangsEndsTheJobAndTheSilentRankIsNamed) {
  Simulation simulation(one_encoder({{1, 2}, {3, 4, 5}}), 200, 3);
  simulation.hung_replica = 1;
  simulation.hung_rank = 4;
  simulation.run();
  ASSERT_EQ(simulation.aborts.size(), 1u);
  EXPECT_EQ(simulation.aborts[0].rank, 4);
  EXPECT_THAT(simulation.aborts[0].why, testing::HasSubstr("within 60 s"));
  EXPECT_GT(simulation.now, 80s);
  EXPECT_LT(simulation.now, 85s);
}

template <typename Kind>
std::vector<Kind> only(const std::vector<Command>& commands) {
  std::vector<Kind> kinds;
  for (const auto& command : commands)
    if (const auto* kind = std::get_if<Kind>(&command)) kinds.push_back(*kind);
  return kinds;
}

/// A scheduler whose ranks are ready: the encoder 0 and one replica {1, 2}.
Scheduler ready_scheduler() {
  Scheduler scheduler(one_encoder({{1, 2}}));
  for (int rank = 0; rank < 3; ++rank) scheduler.on(event::Ready{rank}, 1s);
  return scheduler;
}

TEST(Scheduler, EncodesTheNextAndDecodesThePreviousWhileAReplicaDraws) {
  Scheduler scheduler = ready_scheduler();
  EXPECT_EQ(only<command::Encode>(scheduler.on(event::Submitted{0, 0, 1}, 1s)).at(0).request, 0);
  scheduler.on(event::Submitted{1, 1, 1}, 1s);
  scheduler.on(event::Submitted{2, 2, 1}, 1s);
  auto commands = scheduler.on(event::Encoded{0}, 2s);
  EXPECT_EQ(only<command::Denoise>(commands).at(0).picture, 0);
  EXPECT_EQ(only<command::Encode>(commands).at(0).request, 1);
  EXPECT_TRUE(scheduler.on(event::Encoded{1}, 3s).empty()) << "conditioned ahead: one for one replica";
  EXPECT_TRUE(scheduler.on(event::Alive{1, 0, 2, 4}, 4s).empty()) << "rank 2 is not half through";
  commands = scheduler.on(event::Alive{2, 0, 2, 4}, 4s);
  EXPECT_EQ(only<command::Denoise>(commands).at(0).picture, 1) << "its tensors travel before they are needed";
  EXPECT_EQ(only<command::Encode>(commands).at(0).request, 2);
  EXPECT_EQ(only<command::Decode>(scheduler.on(event::Denoised{0}, 5s)).at(0).picture, 0);
}

TEST(Scheduler, ARequestIsEncodedOnceAndDrawnForEachSeed) {
  Scheduler scheduler = ready_scheduler();
  scheduler.on(event::Submitted{0, 0, 3}, 1s);
  scheduler.on(event::Submitted{1, 3, 1}, 1s);
  auto commands = scheduler.on(event::Encoded{0}, 2s);
  EXPECT_EQ(only<command::Denoise>(commands).at(0).picture, 0);
  EXPECT_TRUE(only<command::Encode>(commands).empty()) << "two pictures of the first are still ahead";
  for (int64_t picture = 0; picture < 2; ++picture) {
    commands = scheduler.on(event::Denoised{picture}, 3s);
    EXPECT_EQ(only<command::Denoise>(commands).at(0).picture, picture + 1);
    EXPECT_EQ(only<command::Encode>(commands).size(), picture == 1 ? 1u : 0u);
  }
}

TEST(Scheduler, TwoEncodersWorkAtOnce) {
  Scheduler scheduler({{0, 1}, {0}, {{2}, {3}}, 60s, 600s});
  for (int rank = 0; rank < 4; ++rank) scheduler.on(event::Ready{rank}, 1s);
  EXPECT_EQ(only<command::Encode>(scheduler.on(event::Submitted{0, 0, 1}, 1s)).at(0).rank, 0);
  EXPECT_EQ(only<command::Encode>(scheduler.on(event::Submitted{1, 1, 1}, 1s)).at(0).rank, 1);
}

TEST(Scheduler, WantsNoMoreRequestsThanItWillTakeUpSoon) {
  Scheduler scheduler = ready_scheduler();
  int64_t taken = 0;
  for (; scheduler.wants_requests() && taken < 100; ++taken) scheduler.on(event::Submitted{taken, taken, 1}, 1s);
  EXPECT_LT(taken, 5);
  scheduler.on(event::Encoded{0}, 1s);
  EXPECT_TRUE(scheduler.wants_requests());
}

TEST(Scheduler, ARequestThatCannotBeEncodedFailsAlone) {
  Scheduler scheduler = ready_scheduler();
  scheduler.on(event::Submitted{0, 0, 1}, 1s);
  scheduler.on(event::Submitted{1, 1, 1}, 1s);
  EXPECT_EQ(only<command::Encode>(scheduler.on(event::RequestFailed{0}, 1s)).at(0).request, 1);
}

TEST(Scheduler, APictureThatCannotBeDecodedFailsAlone) {
  Scheduler scheduler = ready_scheduler();
  for (int64_t job = 0; job < 2; ++job) {
    scheduler.on(event::Submitted{job, job, 1}, 1s);
    scheduler.on(event::Encoded{job}, 1s);
    scheduler.on(event::Denoised{job}, 1s);
  }
  EXPECT_EQ(only<command::Decode>(scheduler.on(event::PictureFailed{0}, 1s)).at(0).picture, 1);
}

TEST(Scheduler, WaitsForTheDiskBeforeItDecodesFurther) {
  Scheduler scheduler = ready_scheduler();
  int decoded = 0;
  for (int64_t job = 0; job < 20; ++job) {
    scheduler.on(event::Submitted{job, job, 1}, 1s);
    scheduler.on(event::Encoded{job}, 1s);
    if (!only<command::Decode>(scheduler.on(event::Denoised{job}, 1s)).empty()) {
      ++decoded;
      scheduler.on(event::Decoded{job}, 1s);
    }
  }
  EXPECT_EQ(decoded, 4);
}

TEST(Scheduler, ARankThatFailsEndsTheJob) {
  Scheduler scheduler = ready_scheduler();
  const auto aborts = only<command::Abort>(scheduler.on(event::RankFailed{2, "out of memory"}, 1s));
  ASSERT_EQ(aborts.size(), 1u);
  EXPECT_EQ(aborts[0].rank, 2);
  EXPECT_EQ(aborts[0].why, "out of memory");
  EXPECT_TRUE(scheduler.on(event::Submitted{0, 0, 1}, 2s).empty()) << "it is over";
}

TEST(Scheduler, ARankThatDoesNotLoadIsNamed) {
  Scheduler scheduler(one_encoder({{1, 2}}));
  scheduler.on(event::Ready{0}, 1s);
  scheduler.on(event::Ready{1}, 1s);
  EXPECT_TRUE(scheduler.on(event::Submitted{0, 0, 1}, 2s).empty()) << "nothing begins before all are ready";
  EXPECT_TRUE(scheduler.on(event::Tick{}, 600s).empty());
  const auto aborts = only<command::Abort>(scheduler.on(event::Tick{}, 601s));
  ASSERT_EQ(aborts.size(), 1u);
  EXPECT_EQ(aborts[0].rank, 2);
  EXPECT_THAT(aborts[0].why, testing::HasSubstr("--startup-timeout"));
}

TEST(Scheduler, AnEncodingAndADecodingHaveADeadline) {
  Scheduler scheduler = ready_scheduler();
  scheduler.on(event::Submitted{0, 0, 1}, 1s);
  EXPECT_TRUE(scheduler.on(event::Tick{}, 61s).empty());
  EXPECT_EQ(only<command::Abort>(scheduler.on(event::Tick{}, 62s)).at(0).rank, 0);

  scheduler = ready_scheduler();
  scheduler.on(event::Submitted{0, 0, 1}, 1s);
  scheduler.on(event::Encoded{0}, 1s);
  scheduler.on(event::Denoised{0}, 1s);
  EXPECT_THAT(only<command::Abort>(scheduler.on(event::Tick{}, 62s)).at(0).why, testing::HasSubstr("decoded"));
}

TEST(Scheduler, StopsOnlyWhenNothingMoreWillCome) {
  Scheduler scheduler = ready_scheduler();
  scheduler.on(event::Submitted{0, 0, 1}, 1s);
  scheduler.on(event::Encoded{0}, 1s);
  scheduler.on(event::Denoised{0}, 1s);
  scheduler.on(event::Decoded{0}, 1s);
  EXPECT_TRUE(scheduler.on(event::Written{0}, 1s).empty());
  EXPECT_EQ(only<command::Stop>(scheduler.on(event::Closed{}, 1s)).size(), 1u);
}

}  // namespace
}  // namespace flux
