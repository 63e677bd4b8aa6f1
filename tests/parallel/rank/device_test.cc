#include "parallel/rank/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

namespace flux {
namespace {

TEST(Device, SaysWhereTheProcessRuns) {
  EXPECT_THAT(host_name(), testing::Not(testing::IsEmpty()));
  EXPECT_GE(usable_cores(), 1);
  EXPECT_LE(usable_cores(), static_cast<int>(std::thread::hardware_concurrency()));
}

TEST(Device, NoDriverMeansNoCards) {
  if (!driver_release().empty()) GTEST_SKIP() << "this machine has a driver";
  EXPECT_TRUE(visible_cards().empty());
  EXPECT_EQ(free_bytes("GPU-00000000-0000-0000-0000-000000000000"), 0);
  EXPECT_EQ(energy_counter("GPU-00000000-0000-0000-0000-000000000000")(), std::nullopt);
}

TEST(Device, NearAnUnknownCardIsAnywhere) {
  const int before = usable_cores();
  run_near("GPU-00000000-0000-0000-0000-000000000000");
  EXPECT_EQ(usable_cores(), before);
}

TEST(DeviceGpu, CardsAreSomeWayApart) {
  std::vector<std::string> uuids;
  for (const Card& card : visible_cards()) uuids.push_back(card.uuid);
  if (uuids.empty()) GTEST_SKIP() << "no CUDA device";
  const auto distances = distances_between(uuids);
  ASSERT_EQ(distances.size(), uuids.size());
  for (size_t i = 0; i < uuids.size(); ++i) {
    EXPECT_EQ(distances[i].at(i), 0);
    for (size_t j = 0; j < uuids.size(); ++j) EXPECT_EQ(distances[i].at(j), distances[j].at(i));
  }
}

TEST(DeviceGpu, AThreadRunsNearItsCard) {
  const std::vector<Card> cards = visible_cards();
  if (cards.empty()) GTEST_SKIP() << "no CUDA device";
  const int everywhere = usable_cores();
  std::thread([&] {
    run_near(cards.front().uuid);
    EXPECT_GE(usable_cores(), 1);
    EXPECT_LE(usable_cores(), everywhere);
  }).join();
  EXPECT_EQ(usable_cores(), everywhere) << "of the thread that asked for nothing";
}

TEST(DeviceGpu, CardsAreDescribed) {
  const std::vector<Card> cards = visible_cards();
  if (cards.empty()) GTEST_SKIP() << "no CUDA device";
  EXPECT_THAT(driver_release(), testing::MatchesRegex("[0-9.]+"));
  std::set<std::string> uuids;
  for (const Card& card : cards) {
    EXPECT_THAT(card.uuid, testing::MatchesRegex("GPU-[0-9a-f]+-[0-9a-f]+-[0-9a-f]+-[0-9a-f]+-[0-9a-f]+"));
    EXPECT_TRUE(uuids.insert(card.uuid).second);
    EXPECT_THAT(card.name, testing::Not(testing::IsEmpty()));
    EXPECT_GE(card.capability, 50);
    EXPECT_GT(free_bytes(card.uuid), 0);
    EXPECT_LE(free_bytes(card.uuid), card.total_bytes + (int64_t{2} << 30));  // the driver counts what it reserves
  }
}

}  // namespace
}  // namespace flux
