#include "runtime/card_steps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "parallel/rank/errors.h"

namespace flux {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class CardStepsFile : public testing::Test {
 protected:
  ~CardStepsFile() override { std::filesystem::remove(path_); }

  CardSteps read(const std::string& text) const {
    std::ofstream(path_) << text;
    return read_card_steps(path_);
  }
  std::string refusal(const std::string& text) const {
    try {
      read(text);
    } catch (const Invalid& error) {
      return error.what();
    }
    return "read";
  }

 private:
  std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("flux_steps_" + std::to_string(getpid()) + ".jsonl");
};

/// As bench step -o jsonl prints it, of 1024 x 1024.
std::string step_of(const std::string& card, const std::string& milliseconds, int rows = 4608) {
  return R"({"height":1024,"width":1024,"text_tokens":512,"card":")" + card + R"(","rows":)" + std::to_string(rows) +
         R"(,"median_ms":)" + milliseconds + "}\n";
}

TEST_F(CardStepsFile, TheLastLineOfAModelCounts) {
  const CardSteps steps = read(step_of("A", "100") + "\n" + step_of("B", "250.5") + step_of("A", "90"));
  EXPECT_THAT(steps, ElementsAre(testing::Pair("A", 90), testing::Pair("B", 250.5)));
}

TEST_F(CardStepsFile, WhatIsNoStepOfOneCardIsNamed) {
  const std::string good = step_of("A", "100");
  EXPECT_THAT(refusal(""), HasSubstr("holds no steps"));
  EXPECT_THAT(refusal(good + "{"), HasSubstr(".jsonl:2"));
  EXPECT_THAT(refusal(good + step_of("", "5")), HasSubstr(".jsonl:2: names no \"card\""));
  for (const std::string milliseconds : {"0", "-1", "1e300", "\"fast\"", "null"})
    EXPECT_THAT(refusal(step_of("A", milliseconds)), HasSubstr("\"median_ms\" is no number above 0")) << milliseconds;
  EXPECT_THAT(refusal(step_of("A", "60", 2304)), HasSubstr("several ranks shared"));
}

/// A host's cards by model and memory.
std::vector<RankFacts> world_of(int ranks, const std::vector<std::pair<std::string, int64_t>>& cards) {
  RankFacts facts{"node", 0, 16, {}};
  for (const auto& [model, gib] : cards)
    facts.cards.push_back(
        {static_cast<int>(facts.cards.size()), "GPU-" + std::to_string(facts.cards.size()), model, 86, gib << 30});
  std::vector<RankFacts> world(static_cast<size_t>(ranks), facts);
  for (int rank = 0; rank < ranks; ++rank) world[static_cast<size_t>(rank)].process = rank;
  return world;
}

/// model and share of each place of the first replica, and of the second.
std::vector<std::string> shared(const PlacementOptions& options, const std::vector<RankFacts>& facts) {
  const Placement placement = place(options, 0, facts, {4096, 512});
  std::vector<std::string> places;
  for (const Replica& replica : placement.replicas)
    for (size_t i = 0; i < replica.ranks.size(); ++i)
      places.push_back(placement.ranks[static_cast<size_t>(replica.ranks[i])].card_name + " " +
                       std::to_string(placement.demand.shares.at(i)));
  return places;
}

TEST(CardShares, FollowTheSpeedOfTheCardsAndTheLargestCardHoldsText) {
  const CardSteps steps = {{"3060", 400}, {"4080", 160}};
  const auto facts = world_of(3, {{"3060", 12}, {"4080", 16}});
  EXPECT_THAT(shared({.card_steps = steps}, facts), ElementsAre("4080 100", "3060 40"));
  const auto placement = place({.card_steps = steps}, 0, facts, {4096, 512});
  EXPECT_TRUE(placement.ranks[1].text && !placement.ranks[2].text);
  EXPECT_THAT(shared({.card_steps = steps}, world_of(3, {{"4080", 12}, {"3060", 16}})),
              ElementsAre("3060 40", "4080 100"))
      << "text needs memory, whatever the speed";
}

TEST(CardShares, EveryReplicaHasTheSameModelsAtTheSamePlaces) {
  const CardSteps steps = {{"3060", 400}, {"4080", 160}};
  const auto facts = world_of(5, {{"3060", 12}, {"4080", 16}, {"3060", 12}, {"4080", 16}});
  EXPECT_THAT(shared({.ranks_per_replica = 2, .card_steps = steps}, facts),
              ElementsAre("4080 100", "3060 40", "4080 100", "3060 40"));
}

TEST(CardShares, LinksDoNotDealOtherCardsThanSharesAreFor) {
  auto facts = world_of(4, {{"a", 16}, {"b", 12}, {"c", 8}});
  for (auto& rank : facts) {  // a and c are linked
    rank.cards[0].distances = {0, 50, 0};
    rank.cards[1].distances = {50, 0, 50};
    rank.cards[2].distances = {0, 50, 0};
  }
  EXPECT_THAT(shared({.card_steps = {{"a", 100}, {"b", 200}, {"c", 400}}}, facts),
              ElementsAre("a 100", "b 50", "c 25"));
}

TEST(CardShares, WhatCannotBeSharedIsSaid) {
  const auto refusal = [](const PlacementOptions& options, const std::vector<RankFacts>& facts) {
    try {
      place(options, 0, facts, {4096, 512});
    } catch (const Invalid& error) {
      return std::string(error.what());
    }
    return std::string("placed");
  };
  const CardSteps steps = {{"3060", 400}};
  EXPECT_THAT(refusal({.card_steps = steps}, world_of(3, {{"3060", 12}, {"4080", 16}})), HasSubstr("no step of 4080"));
  EXPECT_THAT(refusal({.card_steps = steps}, world_of(4, {{"3060", 12}, {"3060", 12}})),
              HasSubstr("a card for each rank that draws, 3, and node sees 2"));
  EXPECT_THAT(refusal({.shares = {1, 1}, .card_steps = steps}, world_of(3, {{"3060", 12}, {"3060", 12}})),
              HasSubstr("say the same thing"));
  EXPECT_THAT(
      refusal({.replicas = {1, 2}, .card_steps = steps}, world_of(4, {{"3060", 12}, {"3060", 12}, {"3060", 12}})),
      HasSubstr("replicas of one size"));
}

}  // namespace
}  // namespace flux
