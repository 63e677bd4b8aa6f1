#include "runtime/dealer.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

#include "parallel/rank/errors.h"

namespace flux {
namespace {

/// The oldest card that CUDA 13 programs.
constexpr int kOldestCapability = 75;

class Dealer {
 public:
  Dealer(Placement& placement, const std::vector<RankFacts>& facts) : placement_(placement), facts_(facts) {}

  /// A card for a rank whose replica has cards on `beside` and wants `more` besides this one.
  void deal(int rank, const std::string& model, const std::vector<int>& beside, size_t more) {
    RankPlace& place = placement_.ranks[rank];
    const auto key = [&](const Card& card) {
      const auto [ranks, texts] = load(rank, card);
      return std::tuple(ranks, !model.empty() && card.name != model, texts, distance(rank, card, beside, more));
    };
    const auto card = std::ranges::min_element(facts_[rank].cards, {}, key);
    if (card->capability < kOldestCapability)
      throw Invalid(placement_.named(rank) + ": " + card->name +
                    " is older than compute capability 7.5, which CUDA 13 needs");
    auto& [ranks, texts] = load_of_[{place.host, card->uuid}];
    ++ranks;
    texts += place.text ? 1 : 0;
    place.device = at::Device(at::kCUDA, static_cast<at::DeviceIndex>(card->index));
    place.card = card->uuid;
    place.card_name = card->name;
  }

 private:
  struct Load {
    int ranks = 0, texts = 0;
  };

  Load load(int rank, const Card& card) const {
    const auto found = load_of_.find({facts_[rank].host, card.uuid});
    return found == load_of_.end() ? Load{} : found->second;
  }

  /// From a card to those of the ranks `beside` it, and to the `more` nearest ones with as few ranks on them.
  int distance(int rank, const Card& card, const std::vector<int>& beside, size_t more) const {
    if (card.distances.empty()) return 0;
    int sum = 0;
    std::vector<int> to_others;
    for (size_t i = 0; i < facts_[rank].cards.size(); ++i) {
      const Card& other = facts_[rank].cards[i];
      const bool chosen = std::ranges::any_of(beside, [&](int near) {
        return placement_.ranks[near].host == facts_[rank].host && placement_.ranks[near].card == other.uuid;
      });
      if (chosen) {
        sum += card.distances[i];
      } else if (other.uuid != card.uuid && other.name == card.name &&
                 load(rank, other).ranks <= load(rank, card).ranks) {
        to_others.push_back(card.distances[i]);
      }
    }
    std::ranges::sort(to_others);
    to_others.resize(std::min(to_others.size(), more));
    return std::accumulate(to_others.begin(), to_others.end(), sum);
  }

  Placement& placement_;
  const std::vector<RankFacts>& facts_;
  std::map<std::pair<std::string, std::string>, Load> load_of_;  // by (host, UUID)
};

}  // namespace

void deal_cards(Placement& placement, const std::vector<RankFacts>& facts, const std::vector<std::string>& models) {
  Dealer dealer(placement, facts);
  const auto give = [&](const Replica& replica, size_t position, const std::string& model) {
    const auto here = replica.ranks.begin() + static_cast<std::ptrdiff_t>(position);
    dealer.deal(*here, model, {replica.ranks.begin(), here}, replica.ranks.size() - position - 1);
  };
  // With shares a place in a replica asks for the same speed in each; without, all places of one do.
  const std::vector<Replica>& replicas = placement.replicas;
  const auto model_at = [&](const Replica& replica, size_t position) {
    return placement.ranks[replica.ranks[position]].card_name;
  };
  for (size_t position = 0; position < placement.demand.shares.size(); ++position)
    for (const Replica& replica : replicas)
      give(replica, position, models.empty() ? model_at(replicas.front(), position) : models[position]);
  for (const Replica& replica : replicas)
    for (size_t position = 0; placement.demand.shares.empty() && position < replica.ranks.size(); ++position)
      give(replica, position, model_at(replica, 0));
  for (const auto& place : placement.ranks)  // last: encoders share if anybody does
    if (place.replica < 0) dealer.deal(place.rank, "", {}, 0);
}

}  // namespace flux
