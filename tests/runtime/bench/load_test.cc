#include "runtime/bench/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/bench/virtual_run.h"

namespace flux {
namespace {

using namespace std::chrono_literals;
using Due = std::optional<Time>;

void begin(Load& load, Time now) { load.on(now, Command(command::Begin{})); }

void finish(Load& load, int64_t picture, Time now) {
  Record record;
  record.picture = picture;
  load.on(now, record);
}

TEST(Load, HandsRequestsOverAtTheirTimeOnceEverythingIsLoaded) {
  Load load({{numbered(0, 2), {0ms, 500ms}}}, {{16, 32}});
  EXPECT_EQ(load.pictures(), 2);
  EXPECT_EQ(load.due(), std::nullopt);
  begin(load, 3000ms);
  EXPECT_EQ(load.due(), Due(3000ms));
  EXPECT_EQ(load.next()->index, 0);
  EXPECT_EQ(load.due(), Due(3500ms));
  EXPECT_EQ(load.next()->index, 1);
  EXPECT_LE(load.due(), Due(0ms));
  EXPECT_FALSE(load.next().has_value());
}

TEST(Load, HoldsBackWhatIsMoreThanTheConcurrencyAndCountsFromTheArrivalAllTheSame) {
  Load load({{numbered(0, 3), {0ms, 100ms, 200ms}, 2}}, {{16, 32}});
  begin(load, 0ms);
  load.next();
  load.next();
  EXPECT_EQ(load.due(), std::nullopt);
  finish(load, 1, 900ms);
  EXPECT_EQ(load.due(), Due(200ms));
  load.next();
  EXPECT_EQ(load.asked().back().arrival, 200ms);
}

TEST(Load, ASweepAsksAtPartsOfWhatItDrewAtOnce) {
  Wave half{numbered(2, 2), {0ms, 1000ms}};
  half.rate = 0.5;
  half.of_capacity = true;
  Load load({{numbered(0, 2), {0ms, 0ms}}, half, half}, {{16, 32}});
  begin(load, 1000ms);
  load.next();
  load.next();
  finish(load, 0, 2000ms);
  finish(load, 1, 1500ms + 1500ms);  // one a second
  EXPECT_EQ(load.rate(0), std::nullopt);
  EXPECT_EQ(load.rate(1), std::optional(0.5));
  EXPECT_EQ(load.due(), Due(3000ms));
  load.next();
  EXPECT_EQ(load.due(), Due(5000ms));
  load.next();
  finish(load, 2, 9000ms);
  finish(load, 3, 9000ms);
  EXPECT_EQ(load.rate(2), std::optional(0.5)) << "not of a wave that came at a rate";
}

TEST(Load, AClosedLoopAsksWhenTheOneBeforeIsDone) {
  auto requests = numbered(0, 2);
  requests[0].pictures = 2;
  requests[1].first_picture = 2;
  Load load({{requests}}, {{16, 32}});
  begin(load, 50ms);
  EXPECT_EQ(load.due(), Due(50ms));
  load.next();
  EXPECT_EQ(load.due(), std::nullopt);
  finish(load, 1, 400ms);
  EXPECT_EQ(load.due(), std::nullopt) << "one of its pictures is not done";
  finish(load, 0, 700ms);
  EXPECT_EQ(load.due(), Due(700ms));
  load.next();
  EXPECT_EQ(load.asked().back().arrival, 700ms);
}

TEST(Load, AWaveBeginsWhenTheOneBeforeIsFinished) {
  Load load({{numbered(2, 1), {0ms}}, {numbered(0, 2), {0ms, 100ms}}}, {{16, 32}});
  begin(load, 0ms);
  EXPECT_EQ(load.next()->index, 2);
  EXPECT_EQ(load.due(), std::nullopt);
  finish(load, 2, 800ms);
  EXPECT_EQ(load.due(), Due(800ms));
  load.next();
  EXPECT_EQ(load.due(), Due(900ms));
  EXPECT_THAT(load.beginnings(), testing::ElementsAre(0ms, 800ms));
  EXPECT_EQ(load.asked().back().wave, 1u);
  finish(load, 0, 1000ms);
  load.next();
  finish(load, 1, 1300ms);
  using Stretch = std::pair<Time, Time>;
  EXPECT_THAT(load.stretches(), testing::ElementsAre(Stretch(0ms, 800ms), Stretch(800ms, 1300ms)));
}

}  // namespace
}  // namespace flux
