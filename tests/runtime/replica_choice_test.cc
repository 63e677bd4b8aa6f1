#include "runtime/replica_choice.h"

#include <gtest/gtest.h>

namespace flux {
namespace {

/// Ranks of each host, each with a card of its own.
std::vector<RankFacts> world(const std::vector<int>& hosts, bool cards = true) {
  std::vector<RankFacts> facts;
  for (size_t host = 0; host < hosts.size(); ++host) {
    RankFacts rank{.host = "host" + std::to_string(host), .process = 0, .cores = 1, .cards = {}};
    for (int card = 0; cards && card < hosts[host]; ++card)
      rank.cards.push_back({.index = card,
                            .uuid = rank.host + " card " + std::to_string(card),
                            .name = "Card X",
                            .capability = 89,
                            .total_bytes = int64_t{1} << 34});
    for (int of = 0; of < hosts[host]; ++of) {
      ++rank.process;
      facts.push_back(rank);
    }
  }
  return facts;
}

/// The ranks of each replica of the placement that is thought the best.
std::vector<size_t> best(const std::vector<RankFacts>& facts, int64_t pictures, const PlacementOptions& options = {}) {
  const std::vector<Placement> found = placements(options, 0, facts, {{}, pictures});
  std::vector<size_t> sizes;
  for (const Replica& replica : found.front().replicas) sizes.push_back(replica.ranks.size());
  return sizes;
}

using Sizes = std::vector<size_t>;

TEST(ReplicaChoice, FewPicturesAreDrawnByManyRanksEach) {
  const auto five = world({5});
  EXPECT_EQ(best(five, 1), Sizes{4});
  EXPECT_EQ(best(five, 2), (Sizes{2, 2}));
  EXPECT_EQ(best(five, 3), Sizes{4}) << "one after the other, where two replicas would take two rounds";
  EXPECT_EQ(best(five, 4), (Sizes{1, 1, 1, 1}));
  EXPECT_EQ(best(five, 10'000), (Sizes{1, 1, 1, 1}));
}

/// "7 replicas of 1 rank, ..." of the best placement on twelve cards.
std::string best_text(int ranks, const Workload& workload, const PlacementOptions& options = {}) {
  auto facts = world({ranks});
  for (RankFacts& rank : facts) rank.cards.resize(std::min<size_t>(12, rank.cards.size()));
  return shared_out_as_text(placements(options, 0, facts, workload).front());
}

TEST(ReplicaChoice, PicturesOfFewStepsAreDecodedWhereTheyAreDrawn) {
  const Workload many{.pictures = 10'000, .steps = 28}, of_few_steps{.pictures = 10'000, .steps = 4};
  EXPECT_EQ(best_text(12, many), "11 replicas of 1 rank");
  EXPECT_EQ(best_text(5, of_few_steps), "4 replicas of 1 rank") << "the encoder keeps up with four";
  EXPECT_EQ(best_text(12, of_few_steps), "11 replicas of 1 rank, pictures decoded by the replicas");
  EXPECT_EQ(best_text(13, of_few_steps), "12 replicas of 1 rank, pictures decoded by the replicas")
      << "a card draws and encodes";
  EXPECT_EQ(best_text(12, of_few_steps, {.decode = DecodeOn::encoder}), "10 replicas of 1 rank, 2 ranks that encode");
  EXPECT_EQ(best_text(12, {.pictures = 1, .steps = 4}), "1 replica of 11 ranks") << "it waits for neither";
}

TEST(ReplicaChoice, AsManyRanksEncodeAsThereAreReplicasToFeed) {
  const Workload of_one_step{.pictures = 10'000, .steps = 1};
  EXPECT_EQ(best_text(12, of_one_step), "10 replicas of 1 rank, 2 ranks that encode, pictures decoded by the replicas");
  EXPECT_EQ(best_text(12, of_one_step, {.encoders = 1}), "11 replicas of 1 rank, pictures decoded by the replicas");
  EXPECT_EQ(best_text(12, of_one_step, {.replicas = {11}}), "11 replicas of 1 rank, pictures decoded by the replicas");
  EXPECT_EQ(best_text(12, of_one_step, {.optimize = Optimize::latency}), "1 replica of 11 ranks");
}

TEST(ReplicaChoice, IsWhatItIsToBeFor) {
  const auto five = world({5});
  EXPECT_EQ(best(five, 1, {.optimize = Optimize::throughput}), (Sizes{1, 1, 1, 1}));
  EXPECT_EQ(best(five, 10'000, {.optimize = Optimize::latency}), Sizes{4});
}

TEST(ReplicaChoice, WhatIsSaidIsNotChosen) {
  const auto five = world({5});
  EXPECT_EQ(best(five, 10'000, {.replicas = {2}}), (Sizes{2, 2}));
  EXPECT_EQ(best(five, 10'000, {.ranks_per_replica = 4}), Sizes{4});
  EXPECT_EQ(placements({.replicas = {2}}, 0, five, {}).size(), 1u);
  EXPECT_EQ(placements({.decode = DecodeOn::replica}, 0, five, {}).size(), 3u);
  EXPECT_EQ(placements({}, 0, five, {}).size(), 3u) << "of 1, 2 and 4 replicas, for what fits";
}

TEST(ReplicaChoice, SharesSayHowManyRanksAReplicaHas) {
  EXPECT_EQ(best(world({5}), 1, {.shares = {3, 2}}), (Sizes{2, 2}));
}

TEST(ReplicaChoice, OnCpusRanksShareOneTransformer) { EXPECT_EQ(best(world({5}, false), 10'000), Sizes{4}); }

TEST(ReplicaChoice, AReplicaKeepsWithinItsHost) {
  EXPECT_EQ(best(world({4, 4}), 1), (Sizes{3, 4})) << "seven ranks of two hosts";
  EXPECT_EQ(best(world({5, 4}), 1), (Sizes{4, 4}));
  EXPECT_EQ(best(world({4, 4}), 10'000), (Sizes{1, 1, 1, 1, 1, 1, 1}));
}

/// Four ranks on two cards: in pairs, NCCL joins them.
TEST(ReplicaChoice, RanksThatShareACardAreNoTwoCards) {
  auto facts = world({5});
  for (RankFacts& rank : facts) rank.cards.resize(2);
  EXPECT_EQ(best(facts, 1), (Sizes{2, 2}));
  EXPECT_EQ(best(facts, 1, {.transport = TransportChoice::nccl}), (Sizes{2, 2})) << "one of four is refused";
}

TEST(ReplicaChoice, OneRankDoesEverything) { EXPECT_EQ(best(world({1}), 10'000), Sizes{1}); }

}  // namespace
}  // namespace flux
