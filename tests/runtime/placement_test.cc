#include "runtime/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "parallel/rank/errors.h"

namespace flux {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<RankFacts> cpu_world(int ranks) {
  std::vector<RankFacts> facts(ranks, RankFacts{"node", 0, 16, {}});
  for (int rank = 0; rank < ranks; ++rank) facts[rank].process = 100 + rank;
  return facts;
}

/// A host's cards, seen by every rank on it.
std::vector<RankFacts> gpu_world(int ranks, int cards, int capability = 90) {
  auto facts = cpu_world(ranks);
  for (auto& rank : facts)
    for (int card = 0; card < cards; ++card)
      rank.cards.push_back({card, "GPU-" + std::to_string(card), "NVIDIA Card", capability});
  return facts;
}

Placement place(const PlacementOptions& options, const std::vector<RankFacts>& facts) {
  return place(options, 0, facts, Demand{});
}

std::string refusal(const PlacementOptions& options, const std::vector<RankFacts>& facts) {
  try {
    place(options, facts);
  } catch (const Invalid& error) {
    return error.what();
  }
  return "placed";
}

std::vector<std::vector<int>> replica_ranks(const Placement& placement) {
  std::vector<std::vector<int>> ranks;
  for (const auto& replica : placement.replicas) ranks.push_back(replica.ranks);
  return ranks;
}

TEST(Placement, AWorldOfOneDoesEverything) {
  const auto placement = place({}, cpu_world(1));
  ASSERT_EQ(placement.ranks.size(), 1u);
  EXPECT_TRUE(placement.ranks[0].encodes);
  EXPECT_EQ(placement.ranks[0].replica, 0);
  EXPECT_TRUE(placement.ranks[0].text);
  EXPECT_EQ(placement.ranks[0].threads, 16);
  EXPECT_EQ(placement.replicas[0].transport, Transport::thread);
  EXPECT_EQ(placement.dtype, at::kFloat);
}

TEST(Placement, TheFirstRankEncodesAndTheOthersAreOneReplica) {
  const auto placement = place({}, cpu_world(3));
  EXPECT_TRUE(placement.ranks[0].encodes);
  EXPECT_EQ(placement.ranks[0].replica, -1);
  EXPECT_THAT(replica_ranks(placement), ElementsAre(ElementsAre(1, 2)));
  EXPECT_FALSE(placement.ranks[1].encodes);
  EXPECT_EQ(placement.replicas[0].transport, Transport::mpi);
  EXPECT_EQ(placement.ranks[1].threads, 5);
}

TEST(Placement, ReplicasShareTheOtherRanks) {
  EXPECT_THAT(replica_ranks(place({.replicas = {2}}, cpu_world(5))), ElementsAre(ElementsAre(1, 2), ElementsAre(3, 4)));
  EXPECT_THAT(replica_ranks(place({.ranks_per_replica = 1}, cpu_world(3))),
              ElementsAre(ElementsAre(1), ElementsAre(2)));
  EXPECT_THAT(replica_ranks(place({.replicas = {1, 3}}, cpu_world(5))),
              ElementsAre(ElementsAre(1), ElementsAre(2, 3, 4)));
  EXPECT_THAT(replica_ranks(place({.replicas = {2}, .ranks_per_replica = 2}, cpu_world(5))),
              ElementsAre(ElementsAre(1, 2), ElementsAre(3, 4)));
}

TEST(Placement, SeveralEncodersAreTheFirstRanks) {
  const auto placement = place({.replicas = {2}, .encoders = 2}, cpu_world(6));
  EXPECT_THAT(placement.encoders(), ElementsAre(0, 1));
  EXPECT_THAT(placement.decoders(), ElementsAre(0, 1));
  EXPECT_THAT(replica_ranks(placement), ElementsAre(ElementsAre(2, 3), ElementsAre(4, 5)));
  EXPECT_THAT(refusal({.replicas = {2}, .encoders = 2}, cpu_world(5)), HasSubstr("-n 4, -n 6"));
  EXPECT_THAT(refusal({.encoders = 3}, cpu_world(3)), HasSubstr("-n 4"));
  EXPECT_THAT(refusal({.encoders = 2}, cpu_world(1)), HasSubstr("-n 3"));
}

TEST(Placement, AReplicasFirstRankMayDecodeWhatItDraws) {
  const auto placement = place({.replicas = {2}, .decode = DecodeOn::replica}, cpu_world(5));
  EXPECT_THAT(placement.encoders(), ElementsAre(0));
  EXPECT_THAT(placement.decoders(), ElementsAre(1, 3));
  EXPECT_THAT(place({.decode = DecodeOn::replica}, cpu_world(1)).decoders(), ElementsAre(0));
}

TEST(Placement, AReplicaKeepsWithinAHostWhereItCan) {
  auto facts = cpu_world(7);  // 1 + 2 workers on a, 4 on b, which the launcher dealt in turn
  for (const int rank : {1, 3, 4, 6}) facts[rank].host = "b";
  auto placement = place({.replicas = {4, 2}}, facts);
  EXPECT_THAT(replica_ranks(placement), ElementsAre(ElementsAre(1, 3, 4, 6), ElementsAre(2, 5)));
  EXPECT_THAT(placement.warnings(), testing::IsEmpty());
  placement = place({.replicas = {2, 4}}, facts);
  EXPECT_THAT(replica_ranks(placement), ElementsAre(ElementsAre(2, 5), ElementsAre(1, 3, 4, 6))) << "the fuller host";
  placement = place({}, facts);
  EXPECT_THAT(replica_ranks(placement), ElementsAre(ElementsAre(1, 2, 3, 4, 5, 6)));
  EXPECT_THAT(placement.warnings(), ElementsAre(HasSubstr("replica 0 spans hosts (b, node)")));
}

TEST(Placement, AReplicaKeepsToOneModelOfCards) {
  auto facts = gpu_world(5, 4);
  for (auto& rank : facts)
    for (const int slow : {1, 3}) rank.cards[slow].name = "NVIDIA Slow Card";
  auto placement = place({.replicas = {2}}, facts);
  EXPECT_EQ(placement.ranks[1].card_name, placement.ranks[2].card_name);
  EXPECT_EQ(placement.ranks[3].card_name, placement.ranks[4].card_name);
  EXPECT_NE(placement.ranks[1].card_name, placement.ranks[3].card_name);
  placement = place({}, facts);
  EXPECT_THAT(placement.warnings(), ElementsAre(HasSubstr("NVIDIA Card, NVIDIA Slow Card")));
}

TEST(Placement, AWorldThatDoesNotFitSaysWhichWould) {
  EXPECT_THAT(refusal({.ranks_per_replica = 2}, cpu_world(4)), HasSubstr("-n 3, -n 5, -n 7, ..."));
  EXPECT_THAT(refusal({.replicas = {3}}, cpu_world(6)), HasSubstr("-n 4, -n 7, -n 10, ..."));
  EXPECT_THAT(refusal({.replicas = {3, 4}}, cpu_world(3)), HasSubstr("mpirun -n 8"));
  EXPECT_THAT(refusal({.replicas = {2}, .ranks_per_replica = 2}, cpu_world(3)), HasSubstr("mpirun -n 5"));
  EXPECT_THAT(refusal({.replicas = {1}, .ranks_per_replica = 1}, cpu_world(3)), HasSubstr("-n 1, -n 2"));
  EXPECT_THAT(refusal({.replicas = {2}}, cpu_world(1)), HasSubstr("-n 3"));
  EXPECT_THAT(refusal({.replicas = {3, 4}, .ranks_per_replica = 2}, cpu_world(8)), HasSubstr("--ranks-per-replica"));
  EXPECT_THAT(refusal({.replicas = {0}}, cpu_world(3)), HasSubstr("--replicas 0"));
  EXPECT_THAT(refusal({.ranks_per_replica = 0}, cpu_world(3)), HasSubstr("--ranks-per-replica 0"));
}

TEST(Placement, SharesAreThoseOfEachReplica) {
  const Placement placement = place({.replicas = {2}, .shares = {3, 2}}, 0, cpu_world(5), {4096, 512});
  EXPECT_EQ(placement.demand.shares, (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(place({.shares = {1, 9, 9}}, 0, cpu_world(4), {4096, 512}).replicas[0].text_ranks, 2);
  EXPECT_THAT(refusal({.shares = {3, 2}}, cpu_world(4)), HasSubstr("--shares 3,2 and replicas of 2: start with"));
  EXPECT_THAT(refusal({.replicas = {1}, .shares = {3, 2}}, cpu_world(4)),
              HasSubstr("--shares 3,2: 2 values, and a replica has 3 ranks"));
  EXPECT_THAT(refusal({.replicas = {1, 2}, .shares = {3, 2}}, cpu_world(4)), HasSubstr("a replica has 1 rank:"));
}

/// Two fast cards and two slow ones.
TEST(Placement, AShareIsOfOneModelInEveryReplica) {
  auto facts = gpu_world(5, 4);
  for (RankFacts& rank : facts)
    for (Card& card : rank.cards) card.name = card.index < 2 ? "fast" : "slow";
  const Placement placement = place({.replicas = {2}, .shares = {3, 2}}, facts);
  for (const Replica& replica : placement.replicas) {
    EXPECT_EQ(placement.ranks[replica.ranks[0]].card_name, "fast");
    EXPECT_EQ(placement.ranks[replica.ranks[1]].card_name, "slow");
  }
  EXPECT_TRUE(placement.warnings().empty());
}

TEST(Placement, TheEvenCutOfTheLargestPictureSaysWhoHoldsText) {
  const auto text = [](int ranks, int64_t image_tokens) {
    return place({}, 0, cpu_world(ranks + 1), {image_tokens, 512}).replicas[0].text_ranks;
  };
  EXPECT_EQ(text(8, 4096), 1);
  EXPECT_EQ(text(4, 1024), 2);
  EXPECT_EQ(text(2, 256), 2);
  EXPECT_EQ(text(1, 4096), 1);
  const auto placement = place({}, 0, cpu_world(5), {1024, 512});
  EXPECT_TRUE(placement.ranks[1].text && placement.ranks[2].text);
  EXPECT_FALSE(placement.ranks[3].text || placement.ranks[4].text);
}

TEST(Placement, TransformerRanksGetCardsOfTheirOwnAndTheEncoderShares) {
  const auto placement = place({}, gpu_world(3, 2));
  EXPECT_NE(placement.ranks[1].card, placement.ranks[2].card);
  EXPECT_EQ(placement.ranks[0].card, "GPU-1") << "the other card's rank holds text, and more weights";
  EXPECT_EQ(placement.replicas[0].transport, Transport::nccl);
  EXPECT_EQ(placement.dtype, at::kBFloat16);
  const auto roomy = place({}, gpu_world(3, 3));
  EXPECT_EQ(roomy.ranks[0].card, "GPU-2") << "a card of its own where there is one";
}

TEST(Placement, CardsAreToldApartByHostAndUuid) {
  // srun shows each rank one card, all numbered 0.
  auto facts = cpu_world(3);
  for (int rank = 0; rank < 3; ++rank) facts[rank].cards = {{0, "GPU-" + std::to_string(rank), "NVIDIA Card", 80}};
  EXPECT_EQ(place({}, facts).replicas[0].transport, Transport::nccl);
  facts[2].cards[0].uuid = "GPU-1";
  EXPECT_EQ(place({}, facts).replicas[0].transport, Transport::mpi) << "shared: through the host";
  facts[2].host = "other";
  EXPECT_EQ(place({}, facts).replicas[0].transport, Transport::nccl);
}

std::vector<std::vector<int>> replica_cards(const Placement& placement) {
  std::vector<std::vector<int>> cards;
  for (const auto& replica : placement.replicas) {
    cards.emplace_back();
    for (const int rank : replica.ranks) cards.back().push_back(placement.ranks[rank].device.index());
  }
  return cards;
}

/// Cards of one pair are joined by NVLink; else cards 0 to 3 hang on one socket, the others on the next.
std::vector<RankFacts> paired_world(int ranks, const std::vector<std::pair<int, int>>& pairs, int cards) {
  auto facts = gpu_world(ranks, cards);
  const auto distance = [&](int a, int b) {
    for (const auto& [one, two] : pairs)
      if (std::minmax(a, b) == std::minmax(one, two)) return 0;
    return a == b ? 0 : a / 4 == b / 4 ? 40 : 50;
  };
  for (auto& rank : facts)
    for (int a = 0; a < cards; ++a)
      for (int b = 0; b < cards; ++b) rank.cards[a].distances.push_back(distance(a, b));
  return facts;
}

TEST(Placement, AReplicasCardsAreThoseLinkedBest) {
  const auto of_two = [](const std::vector<RankFacts>& facts) { return place({.ranks_per_replica = 2}, facts); };
  EXPECT_THAT(replica_cards(of_two(paired_world(5, {{0, 2}, {1, 3}}, 4))),
              ElementsAre(ElementsAre(0, 2), ElementsAre(1, 3)));
  EXPECT_THAT(replica_cards(of_two(paired_world(3, {{1, 2}}, 3))), ElementsAre(ElementsAre(1, 2)));
  EXPECT_THAT(replica_cards(place({}, paired_world(5, {}, 8))), ElementsAre(ElementsAre(0, 1, 2, 3)));
  auto one_taken = paired_world(5, {}, 8);
  for (auto& rank : one_taken) rank.cards.erase(rank.cards.begin()), rank.cards.erase(rank.cards.begin());
  for (auto& rank : one_taken)
    for (auto& card : rank.cards) card.distances.erase(card.distances.begin(), card.distances.begin() + 2);
  EXPECT_THAT(replica_cards(place({}, one_taken)), ElementsAre(ElementsAre(4, 5, 6, 7))) << "the socket with four left";
}

TEST(Placement, RanksThatShareACardCannotUseNccl) {
  EXPECT_THAT(refusal({.transport = TransportChoice::nccl}, gpu_world(3, 1)),
              HasSubstr("rank 2 (node) shares its card"));
  EXPECT_THAT(refusal({.transport = TransportChoice::nccl}, cpu_world(3)), HasSubstr("--transport nccl"));
  EXPECT_EQ(place({.transport = TransportChoice::mpi}, gpu_world(3, 2)).replicas[0].transport, Transport::mpi);
  EXPECT_EQ(place({}, gpu_world(3, 1)).replicas[0].transport, Transport::mpi);
}

TEST(Placement, ReplicasSpreadOverCards) {
  const auto placement = place({.ranks_per_replica = 2}, gpu_world(5, 4));
  EXPECT_EQ(placement.replicas[0].transport, Transport::nccl);
  EXPECT_EQ(placement.replicas[1].transport, Transport::nccl);
  EXPECT_NE(placement.ranks[1].card, placement.ranks[3].card);
}

TEST(Placement, TheOldestCardDecidesTheDtype) {
  EXPECT_EQ(place({}, gpu_world(3, 2, 75)).dtype, at::kHalf);
  auto mixed = gpu_world(3, 2);
  for (auto& rank : mixed) rank.cards[1].capability = 75;
  EXPECT_EQ(place({}, mixed).dtype, at::kHalf);
  EXPECT_EQ(place({.dtype = DtypeChoice::fp32}, mixed).dtype, at::kFloat);
  EXPECT_THAT(refusal({}, gpu_world(2, 1, 70)), HasSubstr("older than compute capability 7.5"));
}

TEST(Placement, ACardWithoutProductsInFp8IsRefusedThem) {
  auto mixed = gpu_world(3, 2, 89);
  EXPECT_EQ(place({.formats = {.transformer = Format::fp8}}, mixed).formats.transformer, Format::fp8);
  for (auto& rank : mixed) rank.cards[1].capability = 86;
  EXPECT_THAT(refusal({.formats = {.transformer = Format::fp8}}, mixed),
              ::testing::AllOf(HasSubstr("--quantize fp8: "), HasSubstr("8.9 (Ada); give int8")));
}

TEST(Placement, AttentionInFp8IsForHopperAlone) {
  const PlacementOptions asked{.formats = {.attention = Format::fp8}};
  EXPECT_EQ(place(asked, gpu_world(3, 2, 90)).formats.attention, Format::fp8);
  EXPECT_EQ(place(asked, cpu_world(3)).formats.attention, Format::fp8);
  EXPECT_THAT(refusal(asked, gpu_world(3, 2, 89)),
              ::testing::AllOf(HasSubstr("--quantize-attention fp8: "), HasSubstr("8.9; leave it out")));
}

TEST(Placement, AMissingCardIsNamed) {
  auto facts = gpu_world(3, 2);
  facts[1].cards.clear();
  EXPECT_THAT(refusal({.device = DeviceChoice::cuda}, facts), HasSubstr("rank 1 (node) sees no card"));
  EXPECT_THAT(refusal({}, facts), HasSubstr("rank 1 (node) sees no card"));
  EXPECT_EQ(place({.device = DeviceChoice::cpu}, facts).ranks[1].device.type(), at::kCPU);
}

TEST(Placement, TheTableHasALineForEveryRank) {
  const auto lines = table(place({}, gpu_world(3, 2)));
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_THAT(lines[0], HasSubstr("rank 0  node  cuda:1 GPU-1  encodes  decodes"));
  EXPECT_THAT(lines[2], HasSubstr("rank 2  node  cuda:1 GPU-1  denoises: replica 0, part 2 of 2, image"));
}

TEST(Placement, RolesAreListed) {
  const auto placement = place({}, cpu_world(3));
  EXPECT_THAT(placement.encoders(), testing::ElementsAre(0));
  EXPECT_THAT(placement.decoders(), testing::ElementsAre(0));
}

}  // namespace
}  // namespace flux
