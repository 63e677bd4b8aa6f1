#include "runtime/bench/throughput_result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "runtime/bench/virtual_run.h"

namespace flux {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::DoubleNear;
using testing::Field;

double sum(const Split& split) {
  return split.queue + split.encode + split.transfer + split.denoise + split.decode + split.write;
}

double sum(const ReplicaUse& use) {
  return use.busy + use.no_request + use.waiting_for_encoder + use.waiting_for_decoder + use.transfer + use.straggler +
         use.drain;
}

/// An encoder rank, and replicas of a rank each.
Placement placed(int replicas) {
  Placement placement;
  placement.ranks.resize(replicas + 1);
  for (int replica = 0; replica < replicas; ++replica) placement.replicas.push_back({{replica + 1}});
  return placement;
}

Scheduler::Setup setup(int replicas) {
  Scheduler::Setup setup{{0}, {0}, {}};
  for (int replica = 0; replica < replicas; ++replica) setup.replicas.push_back({replica + 1});
  return setup;
}

/// `count` requests that come every `between`.
WaveResult drawn(int64_t count, Time between, int replicas, const StageTimes& times = {}, std::set<int64_t> bad = {}) {
  Wave wave{numbered(0, count)};
  for (int64_t i = 0; i < count; ++i) wave.arrivals.push_back(i * between);
  Load load({wave}, {{16, 32}});
  VirtualRun run(load, setup(replicas), times);
  run.bad = std::move(bad);
  run.run();
  return wave_result(load, run.log(), 0, placed(replicas));
}

TEST(Latency, OfAServerThatIsTooSlowGrowsWithItsQueue) {
  const WaveResult slow = drawn(20, 500ms, 1);  // it draws one a second
  for (size_t i = 1; i < slow.requests.size(); ++i) {
    EXPECT_NEAR(slow.requests[i].latency - slow.requests[i - 1].latency, 0.502, 0.002);
    EXPECT_NEAR(slow.requests[i].split.queue - slow.requests[i - 1].split.queue, 0.502, 0.02);
  }
  EXPECT_GT(slow.requests.back().latency, 19 * 0.5);
  EXPECT_NEAR(slow.requests.back().arrival, 19 * 0.5, 1e-9) << "when it was to come, not when it was taken up";
}

TEST(Latency, OfAServerThatIsFastEnoughDoesNotGrow) {
  for (const RequestResult& request : drawn(20, 500ms, 3).requests) EXPECT_LT(request.latency, 1.3);
}

TEST(Latency, IsTheSumOfItsParts) {
  for (const int replicas : {1, 3})
    for (const RequestResult& request : drawn(20, 300ms, replicas).requests) {
      EXPECT_NEAR(sum(request.split), request.latency, 1e-9);
      EXPECT_THAT(request.split,
                  AllOf(Field(&Split::encode, DoubleNear(0.010, 1e-9)), Field(&Split::denoise, DoubleNear(1, 1e-9)),
                        Field(&Split::decode, DoubleNear(0.1, 1e-9)), Field(&Split::transfer, DoubleNear(0.006, 1e-9)),
                        Field(&Split::write, DoubleNear(0.005, 1e-9))));
    }
}

TEST(ReplicaUse, IsTheWholeDuration) {
  for (const int replicas : {1, 2, 3})
    for (const Time between : {0ms, 200ms, 3000ms}) {
      const WaveResult result = drawn(11, between, replicas);
      double drawing = 0;
      for (const ReplicaUse& use : result.replicas) {
        EXPECT_NEAR(sum(use), result.duration, 1e-9);
        drawing += use.busy;
      }
      EXPECT_NEAR(drawing, 11, 1e-9);
    }
}

TEST(ReplicaUse, IsTheWholeDurationWhereRequestsFail) {
  const WaveResult result = drawn(6, 400ms, 2, {}, {1, 5});
  std::vector<std::string> errors;
  for (const RequestResult& request : result.requests) errors.push_back(request.error);
  EXPECT_THAT(errors, testing::ElementsAre("", "cannot be encoded", "", "", "", "cannot be encoded"));
  double drawing = 0;
  for (const ReplicaUse& use : result.replicas) {
    EXPECT_NEAR(sum(use), result.duration, 1e-9);
    drawing += use.busy;
  }
  EXPECT_NEAR(drawing, 4, 1e-9);
  EXPECT_NEAR(result.ranks[0].encode, 4 * 0.01, 1e-9) << "what failed says nothing of its seconds";
}

TEST(ReplicaUse, SaysWhyAReplicaIsIdle) {
  const ReplicaUse sparse = drawn(3, 3000ms, 1).replicas[0];
  EXPECT_NEAR(sparse.no_request, 2 * (3 - 0.012 - 1.002), 0.01);
  EXPECT_NEAR(sparse.waiting_for_encoder, 3 * 0.012, 0.01);
  EXPECT_NEAR(sparse.transfer, 3 * 0.002, 1e-9);
  EXPECT_NEAR(sparse.drain, 0.102 + 0.005, 0.01);

  const WaveResult uneven = drawn(3, 0ms, 2);  // the last is drawn by one, while the other has nothing
  EXPECT_NEAR(uneven.replicas[0].straggler + uneven.replicas[1].straggler, 1, 0.05);

  const WaveResult encoding = drawn(6, 0ms, 3, {.encode = 2000ms});
  for (const ReplicaUse& use : encoding.replicas) EXPECT_GT(use.waiting_for_encoder, 3);

  const WaveResult decoding = drawn(12, 0ms, 1, {.decode = 5000ms});
  EXPECT_GT(decoding.replicas[0].waiting_for_decoder, 5);
}

TEST(RankUse, CountsTimeInWhichStagesOverlapOnce) {
  Load load({{numbered(0, 8), std::vector<Time>(8)}}, {{16, 32}});
  VirtualRun run(load, setup(1), {});
  run.run();
  Placement alone = placed(1);
  alone.replicas[0].ranks = {0};
  const RankUse use = wave_result(load, run.log(), 0, alone).ranks[0];
  EXPECT_NEAR(use.encode + use.denoise + use.decode, 8 * 1.11, 1e-9);
  EXPECT_NEAR(use.busy, 8 + 0.01 + 0.1, 0.02);
}

TEST(Percentile, OfNothingIsNoNumber) {
  EXPECT_TRUE(std::isnan(percentile({}, 0.5)));
  EXPECT_TRUE(std::isnan(mean({})));
}

}  // namespace
}  // namespace flux
