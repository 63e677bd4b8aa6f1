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

/// Ranks that take random times, and a clock. Counts what happens to every job.
class Simulation {
 public:
  Simulation(std::vector<std::vector<int>> replicas, int jobs, unsigned seed)
      : random_(seed),
        jobs_(jobs),
        drawing_(replicas.size()),
        replicas_(replicas),
        scheduler_({0, replicas, 60s, 600s}) {}

  /// Jobs that fail when they are encoded.
  std::set<int64_t> bad;
  /// A replica stops reporting steps from this time on.
  int hung_replica = -1;
  int hung_rank = -1;

  std::map<int64_t, int> encoded, denoised, decoded, written;
  std::vector<int64_t> order;  // of denoising
  Time idle_with_work{0};      // replica idle while conditioned work was given to nobody
  int passed_over = 0;         // jobs given to wait behind another while a replica was idle
  size_t most_conditioned = 0, most_latents = 0;
  bool stopped = false;
  std::vector<command::Abort> aborts;
  Time now{0};

  void run() {
    for (int rank : ranks()) later(span(10, 5000), [this, rank] { tell(event::Ready{rank}); });
    for (int64_t job = 0; job < jobs_; ++job) tell(event::Submitted{job});
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

 private:
  struct Later {
    Time time;
    int64_t order;
    std::function<void()> action;
    bool operator<(const Later& other) const { return std::tie(time, order) > std::tie(other.time, other.order); }
  };

  std::vector<int> ranks() const {
    std::vector<int> all = {0};
    for (const auto& replica : replicas_)
      for (int rank : replica)
        if (rank != 0) all.push_back(rank);
    return all;
  }
  /// That have loaded, have nothing to do and need not wait for the decoder.
  int idle_replicas() const {
    if (latents_ >= 2 * replicas_.size() + 2) return 0;
    int idle = 0;
    for (size_t r = 0; r < replicas_.size(); ++r) {
      const auto loaded = [this](int rank) { return ready_.count(rank) > 0; };
      idle += ready_.count(0) && drawing_[r].empty() && std::all_of(replicas_[r].begin(), replicas_[r].end(), loaded);
    }
    return idle;
  }
  Time span(int low, int high) { return Time(std::uniform_int_distribution<int>(low, high)(random_)); }
  void later(Time after, std::function<void()> action) { events_.push({now + after, count_++, std::move(action)}); }

  void alive(int rank) {
    for (size_t r = 0; r < replicas_.size(); ++r)
      for (int member : replicas_[r])
        if (member == rank && !drawing_[r].empty()) return tell(event::Alive{rank, drawing_[r].front(), 0, 4});
    tell(event::Alive{rank, -1, 0, 0});
  }

  void tell(const Event& event) {
    if (const auto* ready = std::get_if<event::Ready>(&event)) ready_.insert(ready->rank);
    if (over()) return;
    for (const auto& command : scheduler_.on(event, now)) std::visit([this](const auto& c) { obey(c); }, command);
  }

  void obey(const command::Encode& encode) {
    EXPECT_FALSE(encoding_) << "one prompt at a time";
    encoding_ = true;
    later(span(10, 900), [this, job = encode.job] {
      encoding_ = false;
      if (bad.count(job)) return tell(event::JobFailed{job});
      ++encoded[job];
      most_conditioned = std::max(most_conditioned, ++conditioned_);
      tell(event::Encoded{job});
    });
  }
  void obey(const command::Denoise& denoise) {
    --conditioned_;
    auto& queue = drawing_[denoise.replica];
    if (!queue.empty() && idle_replicas() > 0) ++passed_over;
    queue.push_back(denoise.job);
    EXPECT_LE(queue.size(), 2u) << "one drawn, one waiting";
    order.push_back(denoise.job);
    if (queue.size() == 1) draw(denoise.replica);
  }
  void draw(int replica) { step(replica, 1); }
  void step(int replica, int64_t step_number) {
    if (replica == hung_replica && now > 20s) return;
    later(span(20, 400), [this, replica, step_number] {
      const int64_t job = drawing_[replica].front();
      for (int rank : replicas_[replica]) tell(event::Alive{rank, job, step_number, 4});
      if (step_number < 4) return step(replica, step_number + 1);
      ++denoised[job];
      drawing_[replica].pop_front();
      most_latents = std::max(most_latents, ++latents_);
      tell(event::Denoised{job});
      if (!drawing_[replica].empty()) draw(replica);
    });
  }
  void obey(const command::Decode& decode) {
    EXPECT_FALSE(decoding_) << "one picture at a time";
    decoding_ = true;
    --latents_;
    later(span(10, 700), [this, job = decode.job] {
      decoding_ = false;
      ++decoded[job];
      tell(event::Decoded{job});
    });
  }
  void obey(const command::Write& write) {
    later(span(1, 100), [this, job = write.job] {
      ++written[job];
      tell(event::Written{job});
    });
  }
  void obey(const command::Stop&) { stopped = true; }
  void obey(const command::Abort& abort) { aborts.push_back(abort); }

  std::mt19937 random_;
  int64_t jobs_;
  std::vector<std::deque<int64_t>> drawing_;
  std::vector<std::vector<int>> replicas_;
  Scheduler scheduler_;
  std::priority_queue<Later> events_;
  int64_t count_ = 0;
  std::set<int> ready_;
  size_t conditioned_ = 0, latents_ = 0;
  bool encoding_ = false, decoding_ = false;
};

class SchedulerSimulation : public testing::TestWithParam<int> {};

TEST_P(SchedulerSimulation, DrawsEveryJobOnceInOrderAndStops) {
  std::mt19937 random(GetParam());
  std::vector<std::vector<int>> replicas;
  int rank = 1;
  for (int r = std::uniform_int_distribution<int>(1, 5)(random); r > 0; --r) {
    replicas.push_back({});
    for (int p = std::uniform_int_distribution<int>(1, 4)(random); p > 0; --p) replicas.back().push_back(rank++);
  }
  const int jobs = std::uniform_int_distribution<int>(0, 60)(random);
  Simulation simulation(replicas, jobs, GetParam());
  for (int64_t job = 0; job < jobs; ++job)
    if (random() % 10 == 0) simulation.bad.insert(job);
  simulation.run();

  EXPECT_TRUE(simulation.stopped);
  for (int64_t job = 0; job < jobs; ++job) {
    const int expected = simulation.bad.count(job) ? 0 : 1;
    EXPECT_EQ(simulation.encoded[job], expected);
    EXPECT_EQ(simulation.denoised[job], expected);
    EXPECT_EQ(simulation.decoded[job], expected);
    EXPECT_EQ(simulation.written[job], expected);
  }
  EXPECT_TRUE(std::is_sorted(simulation.order.begin(), simulation.order.end()));
  EXPECT_LE(simulation.most_conditioned, replicas.size());
  EXPECT_LE(simulation.most_latents, 4 * replicas.size() + 2);
}

INSTANTIATE_TEST_SUITE_P(Seeds, SchedulerSimulation, testing::Range(0, 40));

TEST(Scheduler, NoReplicaIsIdleWhileConditionedWorkIsThere) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    Simulation simulation({{1}, {2, 3}, {4}}, 40, seed);
    simulation.run();
    EXPECT_TRUE(simulation.stopped);
    EXPECT_EQ(simulation.idle_with_work, 0ms) << "seed " << seed;
    EXPECT_EQ(simulation.passed_over, 0) << "seed " << seed;
  }
}

TEST(Scheduler, AReplicaThatHangsEndsTheJobAndTheSilentRankIsNamed) {
  Simulation simulation({{1, 2}, {3, 4, 5}}, 200, 3);
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
  Scheduler scheduler({0, {{1, 2}}, 60s, 600s});
  for (int rank = 0; rank < 3; ++rank) scheduler.on(event::Ready{rank}, 1s);
  return scheduler;
}

TEST(Scheduler, EncodesTheNextAndDecodesThePreviousWhileAReplicaDraws) {
  Scheduler scheduler = ready_scheduler();
  EXPECT_EQ(only<command::Encode>(scheduler.on(event::Submitted{0}, 1s)).at(0).job, 0);
  scheduler.on(event::Submitted{1}, 1s);
  scheduler.on(event::Submitted{2}, 1s);
  auto commands = scheduler.on(event::Encoded{0}, 2s);
  EXPECT_EQ(only<command::Denoise>(commands).at(0).job, 0);
  EXPECT_EQ(only<command::Encode>(commands).at(0).job, 1);
  EXPECT_TRUE(scheduler.on(event::Encoded{1}, 3s).empty()) << "conditioned ahead: one for one replica";
  EXPECT_TRUE(scheduler.on(event::Alive{1, 0, 2, 4}, 4s).empty()) << "rank 2 is not half through";
  commands = scheduler.on(event::Alive{2, 0, 2, 4}, 4s);
  EXPECT_EQ(only<command::Denoise>(commands).at(0).job, 1) << "its tensors travel before they are needed";
  EXPECT_EQ(only<command::Encode>(commands).at(0).job, 2);
  EXPECT_EQ(only<command::Decode>(scheduler.on(event::Denoised{0}, 5s)).at(0).job, 0);
}

TEST(Scheduler, AJobThatCannotBeEncodedFailsAlone) {
  Scheduler scheduler = ready_scheduler();
  scheduler.on(event::Submitted{0}, 1s);
  scheduler.on(event::Submitted{1}, 1s);
  EXPECT_EQ(only<command::Encode>(scheduler.on(event::JobFailed{0}, 1s)).at(0).job, 1);
}

TEST(Scheduler, APictureThatCannotBeDecodedFailsAlone) {
  Scheduler scheduler = ready_scheduler();
  for (int64_t job = 0; job < 2; ++job) {
    scheduler.on(event::Submitted{job}, 1s);
    scheduler.on(event::Encoded{job}, 1s);
    scheduler.on(event::Denoised{job}, 1s);
  }
  EXPECT_EQ(only<command::Decode>(scheduler.on(event::JobFailed{0}, 1s)).at(0).job, 1);
}

TEST(Scheduler, WaitsForTheDiskBeforeItDecodesFurther) {
  Scheduler scheduler = ready_scheduler();
  int decoded = 0;
  for (int64_t job = 0; job < 20; ++job) {
    scheduler.on(event::Submitted{job}, 1s);
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
  EXPECT_TRUE(scheduler.on(event::Submitted{0}, 2s).empty()) << "it is over";
}

TEST(Scheduler, ARankThatDoesNotLoadIsNamed) {
  Scheduler scheduler({0, {{1, 2}}, 60s, 600s});
  scheduler.on(event::Ready{0}, 1s);
  scheduler.on(event::Ready{1}, 1s);
  EXPECT_TRUE(scheduler.on(event::Tick{}, 600s).empty());
  const auto aborts = only<command::Abort>(scheduler.on(event::Tick{}, 601s));
  ASSERT_EQ(aborts.size(), 1u);
  EXPECT_EQ(aborts[0].rank, 2);
  EXPECT_THAT(aborts[0].why, testing::HasSubstr("--startup-timeout"));
}

TEST(Scheduler, AnEncodingAndADecodingHaveADeadline) {
  Scheduler scheduler = ready_scheduler();
  scheduler.on(event::Submitted{0}, 1s);
  EXPECT_TRUE(scheduler.on(event::Tick{}, 61s).empty());
  EXPECT_EQ(only<command::Abort>(scheduler.on(event::Tick{}, 62s)).at(0).rank, 0);

  scheduler = ready_scheduler();
  scheduler.on(event::Submitted{0}, 1s);
  scheduler.on(event::Encoded{0}, 1s);
  scheduler.on(event::Denoised{0}, 1s);
  EXPECT_THAT(only<command::Abort>(scheduler.on(event::Tick{}, 62s)).at(0).why, testing::HasSubstr("decoded"));
}

TEST(Scheduler, StopsOnlyWhenNothingMoreWillCome) {
  Scheduler scheduler = ready_scheduler();
  scheduler.on(event::Submitted{0}, 1s);
  scheduler.on(event::Encoded{0}, 1s);
  scheduler.on(event::Denoised{0}, 1s);
  scheduler.on(event::Decoded{0}, 1s);
  EXPECT_TRUE(scheduler.on(event::Written{0}, 1s).empty());
  EXPECT_EQ(only<command::Stop>(scheduler.on(event::Closed{}, 1s)).size(), 1u);
}

}  // namespace
}  // namespace flux
