#include "runtime/exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "parallel/rank/errors.h"

namespace flux {
namespace {

using enum ContextParallel;

/// Of the ranks of one replica, each on a card, that are linked as `distances` say.
Replica replica_of(const std::vector<std::vector<int>>& distances) {
  std::vector<Card> cards;
  for (size_t card = 0; card < distances.size(); ++card)
    cards.push_back({.index = static_cast<int>(card),
                     .uuid = "GPU-" + std::to_string(card),
                     .name = "NVIDIA Card",
                     .capability = 90,
                     .distances = distances[card]});
  std::vector<RankFacts> facts(distances.size(), RankFacts{"node", 0, 16, cards});
  for (size_t rank = 0; rank < facts.size(); ++rank) facts[rank].process = 100 + static_cast<int64_t>(rank);
  return place_one_replica({}, 0, facts, Demand{}).replicas.front();
}

std::vector<std::vector<int>> all_linked(size_t ranks, int distance) {
  return std::vector<std::vector<int>>(ranks, std::vector<int>(ranks, distance));
}

/// Of FLUX.1's 24 heads of 128, in bf16.
ContextParallel chosen(const Replica& replica, std::optional<ContextParallel> asked = {},
                       Format keys_values = Format::dense) {
  Placement placement;
  placement.dtype = at::kBFloat16;
  placement.context_parallel = asked;
  placement.formats.exchange = keys_values;
  return exchange_of(placement, replica, TransformerConfig{}).context;
}

TEST(Exchange, UlyssesWhereItTakesFewerBytesBetweenCardsThatAreNotLinked) {
  constexpr int bridge = 30;
  EXPECT_EQ(chosen(replica_of(all_linked(1, bridge))), gather);
  EXPECT_EQ(chosen(replica_of(all_linked(2, bridge))), gather);
  EXPECT_EQ(chosen(replica_of(all_linked(3, bridge))), ulysses);
  EXPECT_EQ(chosen(replica_of(all_linked(4, bridge))), ulysses);
  EXPECT_EQ(chosen(replica_of(all_linked(5, bridge))), gather);  // do not divide 24 heads
  EXPECT_EQ(chosen(replica_of(all_linked(4, kNvlink))), gather);
  auto pairs = all_linked(4, bridge);
  pairs[0][1] = pairs[1][0] = pairs[2][3] = pairs[3][2] = kNvlink;
  EXPECT_EQ(chosen(replica_of(pairs)), ulysses);
  EXPECT_EQ(chosen(replica_of({{}, {}, {}})), ulysses);  // the driver does not say
}

TEST(Exchange, RoundedKeysAndValuesAreGatheredByMoreRanks) {
  EXPECT_EQ(chosen(replica_of(all_linked(4, 30)), {}, Format::int8), gather);
  EXPECT_EQ(chosen(replica_of(all_linked(6, 30)), {}, Format::int8), ulysses);
}

/// What cuDNN's kernel reads at once.
TEST(Exchange, AttentionInFp8OnCardsIsOfHeadsOfSixteens) {
  Placement placement;
  placement.formats.attention = Format::fp8;
  placement.ranks.resize(1);
  const Replica alone{.ranks = {0}};
  TransformerConfig config;
  EXPECT_EQ(exchange_of(placement, alone, config).attention, Format::fp8);
  config.attention_head_dim = 24;
  EXPECT_EQ(exchange_of(placement, alone, config).attention, Format::fp8);
  placement.ranks[0].card = "GPU-0";
  EXPECT_THROW(exchange_of(placement, alone, config), Invalid);
}

TEST(Exchange, WhatIsAskedForIsTaken) {
  EXPECT_EQ(chosen(replica_of(all_linked(2, kNvlink)), ulysses), ulysses);
  EXPECT_EQ(chosen(replica_of(all_linked(3, 30)), gather), gather);
  EXPECT_EQ(chosen(replica_of(all_linked(1, 30)), ulysses), gather);  // of one rank nothing travels
  EXPECT_THAT([] { chosen(replica_of(all_linked(5, 30)), ulysses); },
              testing::ThrowsMessage<Invalid>(testing::HasSubstr("5 ranks cannot share 24 attention heads evenly")));
}

}  // namespace
}  // namespace flux
