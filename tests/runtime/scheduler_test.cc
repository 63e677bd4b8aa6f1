#include "runtime/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "tests/runtime/simulation.h"

namespace flux {
namespace {

class SchedulerSimulation : public testing::TestWithParam<int> {
 protected:
  int between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); }

  Scheduler::Setup some_setup() {
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
    return setup;
  }

  std::mt19937 random{static_cast<unsigned>(GetParam())};
};

TEST_P(SchedulerSimulation, DrawsEveryPictureOnceInOrderAndStops) {
  const Scheduler::Setup setup = some_setup();
  const int pictures = between(0, 60);
  const int most_of_a_request = between(1, 5);
  Simulation simulation(setup, pictures, GetParam());
  simulation.pictures_of_request = [&](int64_t request) { return 1 + request % most_of_a_request; };
  for (int64_t request = 0; request < pictures; ++request)
    if (random() % 10 == 0) simulation.bad.insert(request);
  for (int64_t picture = 0; picture < pictures; ++picture)
    if (GetParam() % 2 == 0 && random() % 3 == 0) simulation.there.insert(picture);
  simulation.run();

  EXPECT_TRUE(simulation.stopped);
  EXPECT_EQ(simulation.begun, 1);
  for (const auto& [request, its_pictures] : simulation.requests())
    EXPECT_EQ(simulation.encoded[request], simulation.bad.count(request) ? 0 : 1)
        << "encoded once, however many pictures";
  for (int64_t picture = 0; picture < pictures; ++picture) {
    const int expected = simulation.is_bad(picture) || simulation.there.contains(picture) ? 0 : 1;
    EXPECT_EQ(simulation.denoised[picture], expected);
    EXPECT_EQ(simulation.decoded[picture], expected);
    EXPECT_EQ(simulation.written[picture], expected);
  }
  // Several encoders may finish in another order than they began.
  EXPECT_TRUE(setup.encoders.size() > 1 || std::is_sorted(simulation.order.begin(), simulation.order.end()));
  EXPECT_LE(simulation.most_conditioned, setup.replicas.size() + most_of_a_request * setup.encoders.size());
  EXPECT_LE(simulation.most_latents, 4 * setup.replicas.size() + 2);
}

TEST_P(SchedulerSimulation, ADrainFinishesWhatIsBegunAndBeginsNothing) {
  const Scheduler::Setup setup = some_setup();
  Simulation simulation(setup, 200, GetParam());
  simulation.drained_at = 100ms * between(0, 300);
  simulation.run();

  EXPECT_TRUE(simulation.stopped);
  EXPECT_EQ(simulation.order.size(), simulation.begun_before_the_drain());
  EXPECT_EQ(simulation.written.size(), simulation.order.size());
  for (int64_t picture : simulation.order) EXPECT_EQ(simulation.written[picture], 1);
  EXPECT_LT(simulation.order.size(), 200u) << "drained before the end";
  EXPECT_LT(simulation.now, simulation.drained_at + 30s) << "two pictures of a replica, decoded and written";
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

TEST(Scheduler, ReplicasDrawAllTheTimeWherePicturesDifferTwofold) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    constexpr int pictures = 200;
    const std::vector<int> enough = {0, 5, 6};  // an encoding takes half as long as a picture's steps
    Simulation simulation({enough, enough, {{1}, {2}, {3}, {4}}, 60s, 600s}, pictures, seed);
    simulation.slower = [](int64_t picture) {
      return picture < pictures / 2 ? 2 : 1;
    };  // longest first, as Source has it
    simulation.run();
    // No order and no replica can make it shorter than all steps, spread evenly.
    const double bound = std::chrono::duration<double>(simulation.drawing).count() / 4;
    const double took = std::chrono::duration<double>(simulation.drawn - simulation.first_drawn).count();
    EXPECT_LT(took, bound * 1.03) << "seed " << seed;
  }
}

TEST(Scheduler, OfManyReplicasFewAreConditionedAhead) {
  std::vector<std::vector<int>> replicas;
  for (int rank = 1; rank <= 400; ++rank) replicas.push_back({rank});
  Simulation simulation(one_encoder(replicas), 1000, 1);
  simulation.run();
  EXPECT_TRUE(simulation.stopped);
  EXPECT_LE(simulation.most_conditioned, 33u) << "each is some 60 MB";
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
  EXPECT_EQ(only<command::Encode>(scheduler.on(event::Submitted{0, {0}}, 1s)).at(0).request, 0);
  scheduler.on(event::Submitted{1, {1}}, 1s);
  scheduler.on(event::Submitted{2, {2}}, 1s);
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

TEST(Scheduler, ADrawingReplicaGetsItsNextNoEarlierThanTensorsNeedToArrive) {
  Scheduler scheduler = ready_scheduler();
  const auto alive = [&](int64_t picture, int64_t step, Time now) {
    scheduler.on(event::Alive{1, picture, step, 20}, now);
    return scheduler.on(event::Alive{2, picture, step, 20}, now);
  };
  for (int64_t job = 0; job < 3; ++job) scheduler.on(event::Submitted{job, {job}}, 1s);
  for (int64_t job = 0; job < 2; ++job) scheduler.on(event::Encoded{job}, 2s);
  EXPECT_TRUE(alive(0, 1, 5s).empty()) << "two seconds for its tensors, and one for the step, as will be seen";
  EXPECT_TRUE(alive(0, 9, 13s).empty());
  EXPECT_EQ(only<command::Denoise>(alive(0, 10, 14s)).at(0).picture, 1) << "half through: what they take is not known";
  scheduler.on(event::Encoded{2}, 15s);
  alive(0, 20, 24s);
  scheduler.on(event::Denoised{0}, 24s);
  EXPECT_TRUE(alive(1, 1, 25s).empty());
  EXPECT_TRUE(alive(1, 14, 38s).empty()) << "six seconds left, of which it needs two";
  EXPECT_EQ(only<command::Denoise>(alive(1, 15, 39s)).at(0).picture, 2) << "twice that, and a step to spare";
}

TEST(Scheduler, TheReplicaThatIsFreeSoonestGetsTheNext) {
  Scheduler scheduler(one_encoder({{1}, {2}}));
  for (int rank = 0; rank < 3; ++rank) scheduler.on(event::Ready{rank}, 0s);
  for (int64_t job = 0; job < 3; ++job) scheduler.on(event::Submitted{job, {job}}, 0s);
  for (int64_t job = 0; job < 2; ++job) scheduler.on(event::Encoded{job}, 0s);
  for (int64_t step = 1; step <= 2; ++step) scheduler.on(event::Alive{2, 1, step, 4}, 5s * step);
  for (int64_t step = 1; step <= 2; ++step) scheduler.on(event::Alive{1, 0, step, 4}, 10s * step);
  const auto given = only<command::Denoise>(scheduler.on(event::Encoded{2}, 21s));
  ASSERT_EQ(given.size(), 1u);
  EXPECT_EQ(given[0].replica, 1) << "it should be done, and the other has 19 s to go";
}

TEST(Scheduler, APictureIsDecodedWhereItWasDrawnIfThatRankDecodes) {
  Scheduler scheduler({{0}, {1, 3}, {{1, 2}, {3, 4}}, 60s, 600s});
  for (int rank = 0; rank < 5; ++rank) scheduler.on(event::Ready{rank}, 1s);
  for (int64_t job = 0; job < 4; ++job) {
    scheduler.on(event::Submitted{job, {job}}, 1s);
    scheduler.on(event::Encoded{job}, 1s);
  }
  EXPECT_EQ(only<command::Decode>(scheduler.on(event::Denoised{1}, 2s)).at(0).rank, 3);
  EXPECT_TRUE(only<command::Decode>(scheduler.on(event::Denoised{2}, 3s)).empty()) << "rank 3 is at it";
  EXPECT_EQ(only<command::Decode>(scheduler.on(event::Denoised{0}, 4s)).at(0).rank, 1);
  EXPECT_EQ(only<command::Decode>(scheduler.on(event::Decoded{1}, 5s)).at(0).rank, 3);
}

TEST(Scheduler, ARequestIsEncodedOnceAndDrawnForEachSeed) {
  Scheduler scheduler = ready_scheduler();
  scheduler.on(event::Submitted{0, {0, 1, 2}}, 1s);
  scheduler.on(event::Submitted{1, {3}}, 1s);
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
  EXPECT_EQ(only<command::Encode>(scheduler.on(event::Submitted{0, {0}}, 1s)).at(0).rank, 0);
  EXPECT_EQ(only<command::Encode>(scheduler.on(event::Submitted{1, {1}}, 1s)).at(0).rank, 1);
}

TEST(Scheduler, WantsNoMoreRequestsThanItWillTakeUpSoon) {
  Scheduler scheduler = ready_scheduler();
  int64_t taken = 0;
  for (; scheduler.wants_requests() && taken < 100; ++taken) scheduler.on(event::Submitted{taken, {taken}}, 1s);
  EXPECT_LT(taken, 5);
  scheduler.on(event::Encoded{0}, 1s);
  EXPECT_TRUE(scheduler.wants_requests());
}

TEST(Scheduler, ARequestThatCannotBeEncodedFailsAlone) {
  Scheduler scheduler = ready_scheduler();
  scheduler.on(event::Submitted{0, {0}}, 1s);
  scheduler.on(event::Submitted{1, {1}}, 1s);
  EXPECT_EQ(only<command::Encode>(scheduler.on(event::RequestFailed{0}, 1s)).at(0).request, 1);
}

TEST(Scheduler, APictureThatCannotBeDecodedFailsAlone) {
  Scheduler scheduler = ready_scheduler();
  for (int64_t job = 0; job < 2; ++job) {
    scheduler.on(event::Submitted{job, {job}}, 1s);
    scheduler.on(event::Encoded{job}, 1s);
    scheduler.on(event::Denoised{job}, 1s);
  }
  EXPECT_EQ(only<command::Decode>(scheduler.on(event::PictureFailed{0}, 1s)).at(0).picture, 1);
}

TEST(Scheduler, WaitsForTheDiskBeforeItDecodesFurther) {
  Scheduler scheduler = ready_scheduler();
  int decoded = 0;
  for (int64_t job = 0; job < 20; ++job) {
    scheduler.on(event::Submitted{job, {job}}, 1s);
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
  EXPECT_TRUE(scheduler.on(event::Submitted{0, {0}}, 2s).empty()) << "it is over";
}

TEST(Scheduler, ARankThatDoesNotLoadIsNamed) {
  Scheduler scheduler(one_encoder({{1, 2}}));
  scheduler.on(event::Ready{0}, 1s);
  scheduler.on(event::Ready{1}, 1s);
  EXPECT_TRUE(scheduler.on(event::Submitted{0, {0}}, 2s).empty()) << "nothing begins before all are ready";
  EXPECT_TRUE(scheduler.on(event::Tick{}, 600s).empty());
  const auto aborts = only<command::Abort>(scheduler.on(event::Tick{}, 601s));
  ASSERT_EQ(aborts.size(), 1u);
  EXPECT_EQ(aborts[0].rank, 2);
  EXPECT_THAT(aborts[0].why, testing::HasSubstr("--startup-timeout"));
}

TEST(Scheduler, AnEncodingAndADecodingHaveADeadline) {
  Scheduler scheduler = ready_scheduler();
  scheduler.on(event::Submitted{0, {0}}, 1s);
  EXPECT_TRUE(scheduler.on(event::Tick{}, 61s).empty());
  EXPECT_EQ(only<command::Abort>(scheduler.on(event::Tick{}, 62s)).at(0).rank, 0);

  scheduler = ready_scheduler();
  scheduler.on(event::Submitted{0, {0}}, 1s);
  scheduler.on(event::Encoded{0}, 1s);
  scheduler.on(event::Denoised{0}, 1s);
  EXPECT_THAT(only<command::Abort>(scheduler.on(event::Tick{}, 62s)).at(0).why, testing::HasSubstr("decoded"));
}

TEST(Scheduler, StopsOnlyWhenNothingMoreWillCome) {
  Scheduler scheduler = ready_scheduler();
  scheduler.on(event::Submitted{0, {0}}, 1s);
  scheduler.on(event::Encoded{0}, 1s);
  scheduler.on(event::Denoised{0}, 1s);
  scheduler.on(event::Decoded{0}, 1s);
  EXPECT_TRUE(scheduler.on(event::Written{0}, 1s).empty());
  EXPECT_EQ(only<command::Stop>(scheduler.on(event::Closed{}, 1s)).size(), 1u);
}

}  // namespace
}  // namespace flux
