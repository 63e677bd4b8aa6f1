#include "runtime/bench/energy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>

#include "tests/parallel/ranks.h"

namespace flux {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

/// A rank for each card named; "" is none. `host`: of all of them, or of the rank with the same number.
Placement on_cards(const std::vector<std::string>& cards, std::vector<std::string> hosts = {}) {
  hosts.resize(cards.size(), "a");
  Placement placement;
  for (size_t rank = 0; rank < cards.size(); ++rank) {
    placement.ranks.emplace_back();
    placement.ranks.back().rank = static_cast<int>(rank);
    placement.ranks.back().host = hosts[rank];
    placement.ranks.back().card = cards[rank];
  }
  return placement;
}

TEST(Energy, IsReadBetweenReadingsToo) {
  const std::vector<EnergyReading> readings = {{0, 1000}, {1, 1100}, {2, 1500}};
  EXPECT_DOUBLE_EQ(*energy_between(readings, 0, 2), 500);
  EXPECT_DOUBLE_EQ(*energy_between(readings, 0.5, 1.25), 150);
  EXPECT_DOUBLE_EQ(*energy_between(readings, 1, 1), 0);
  EXPECT_DOUBLE_EQ(*energy_between(readings, 1, 2.001), 400) << "clocks of other hosts differ by some milliseconds";
  EXPECT_EQ(energy_between({}, 0, 2), std::nullopt);
}

TEST(Energy, OfACardThatRanksShareCountsOnce) {
  const Placement shared = on_cards({"GPU-1", "GPU-2", "GPU-1"});
  const CardEnergy energy = shared_out(shared, {100, 20, std::nullopt});
  EXPECT_THAT(energy, ElementsAre(100, 20, 100));
  EXPECT_EQ(energy_of_cards(shared, energy), 120);
  EXPECT_EQ(card_count(shared), 2);
}

TEST(Energy, CardsOfOtherHostsAreOtherCards) {
  const Placement placement = on_cards({"GPU-1", "GPU-1"}, {"a", "b"});
  const CardEnergy energy = shared_out(placement, {100, 20});
  EXPECT_THAT(energy, ElementsAre(100, 20));
  EXPECT_EQ(energy_of_cards(placement, energy), 120);
}

TEST(Energy, IsNotKnownWhereACardsIsNot) {
  EXPECT_EQ(energy_of_cards(on_cards({"GPU-1", "GPU-2"}), {100, std::nullopt}), std::nullopt);
  const Placement with_a_cpu = on_cards({"", "GPU-1", ""});
  EXPECT_THAT(shared_out(with_a_cpu, {std::nullopt, 5, std::nullopt}), ElementsAre(std::nullopt, 5, std::nullopt));
  EXPECT_EQ(energy_of_cards(with_a_cpu, {std::nullopt, 5, std::nullopt}), std::nullopt);
  EXPECT_EQ(card_count(with_a_cpu), 1);
  EXPECT_EQ(counter_of(with_a_cpu, 0), nullptr);
}

TEST(EnergyMeter, ReadsFromItsBeginningToItsEnd) {
  EnergyMeter meter([joules = 5000.0]() mutable { return std::optional(joules += 10); });
  const double before = meter.seconds(EnergyMeter::Clock::now());
  std::this_thread::sleep_for(350ms);
  const double after = meter.seconds(EnergyMeter::Clock::now());
  const std::vector<EnergyReading> readings = meter.stop();
  ASSERT_GE(readings.size(), 3);
  EXPECT_EQ(readings.front().joules, 5010);
  EXPECT_LE(readings.front().seconds, before);
  EXPECT_GE(readings.back().seconds, after);
  for (size_t i = 1; i < readings.size(); ++i) EXPECT_GT(readings[i].seconds, readings[i - 1].seconds);
}

TEST(EnergyMeter, SaysNothingWhereTheCounterDoesNot) {
  EXPECT_THAT(EnergyMeter(nullptr).stop(), IsEmpty());
  EXPECT_THAT(EnergyMeter([] { return std::nullopt; }).stop(), IsEmpty());
  const auto left = std::make_shared<std::atomic<int>>(2);
  EnergyMeter falls_silent([left] { return --*left < 0 ? std::nullopt : std::optional(1.0); });
  while (*left >= 0) std::this_thread::sleep_for(5ms);
  EXPECT_THAT(falls_silent.stop(), IsEmpty());
}

/// Rank 0 alone knows the waves; rank 2 shares its card with rank 1.
TEST(Energy, OfEveryWaveIsKnownToEveryRank) {
  const Placement placement = on_cards({"GPU-1", "GPU-2", "GPU-2"});
  run_ranks(3, [&](World& world) {
    std::vector<std::pair<double, double>> waves;
    if (world.rank() == 0) waves = {{0, 1}, {1, 3}};
    std::vector<EnergyReading> readings;
    if (world.rank() < 2) readings = {{0, 7}, {3, 7 + 30.0 * (world.rank() + 1)}};
    EXPECT_THAT(energy_of_waves(waves, readings, placement, world),
                ElementsAre(ElementsAre(10, 20, 20), ElementsAre(20, 40, 40)));
  });
}

}  // namespace
}  // namespace flux
