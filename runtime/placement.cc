#include "runtime/placement.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <sstream>
#include <utility>

#include "model/transformer/cut.h"
#include "parallel/rank/errors.h"
#include "runtime/card_steps.h"
#include "runtime/dealer.h"
#include "runtime/replica_sizes.h"

namespace flux {
namespace {

constexpr int kOldestWithFp8 = 89, kWithFp8Attention = 90;

std::string named(const std::vector<RankFacts>& facts, int rank) {
  return "rank " + std::to_string(rank) + " (" + facts[rank].host + ")";
}

bool use_cuda(DeviceChoice choice, const std::vector<RankFacts>& facts) {
  if (choice == DeviceChoice::cpu) return false;
  int without = -1;
  for (size_t rank = 0; rank < facts.size(); ++rank)
    if (facts[rank].cards.empty()) without = static_cast<int>(rank);
  if (without < 0) return true;
  if (choice == DeviceChoice::cuda)
    throw Invalid("--device cuda: " + named(facts, without) +
                  " sees no card; start it where one is (see flux-dist doctor), or give --device cpu");
  const bool any = std::any_of(facts.begin(), facts.end(), [](const RankFacts& rank) { return !rank.cards.empty(); });
  if (any)
    throw Invalid(named(facts, without) +
                  " sees no card while other ranks do: start it where one is, or give --device cpu");
  return false;
}

/// The ranks of each replica, of those that do not encode: of one host where one has enough left, the one with the
/// fewest to spare; else the next ones, on whatever hosts.
std::vector<std::vector<int>> ranks_of(const std::vector<int>& sizes, int first, const std::vector<RankFacts>& facts) {
  std::vector<int> left(facts.size() - static_cast<size_t>(first));
  std::iota(left.begin(), left.end(), first);
  std::vector<std::vector<int>> replicas;
  for (const int size : sizes) {
    std::map<std::string, int> free;
    for (const int rank : left) ++free[facts[rank].host];
    const std::string* host = nullptr;
    for (const int rank : left) {
      const int here = free[facts[rank].host];
      if (here >= size && (host == nullptr || here < free[*host])) host = &facts[rank].host;
    }
    std::vector<int>& ranks = replicas.emplace_back();
    std::erase_if(left, [&](int rank) {
      const bool taken = static_cast<int>(ranks.size()) < size && (host == nullptr || facts[rank].host == *host);
      if (taken) ranks.push_back(rank);
      return taken;
    });
  }
  return replicas;
}

/// A rank of the replica whose card another rank of it has, or -1.
int sharing_rank(const Placement& placement, const Replica& replica) {
  std::vector<std::pair<std::string, std::string>> seen;
  for (int rank : replica.ranks) {
    const std::pair<std::string, std::string> card = {placement.ranks[rank].host, placement.ranks[rank].card};
    if (std::find(seen.begin(), seen.end(), card) != seen.end()) return rank;
    seen.push_back(card);
  }
  return -1;
}

Transport transport_of(TransportChoice choice, const Placement& placement, const Replica& replica,
                       const std::vector<RankFacts>& facts, bool cuda) {
  const bool one_process = std::all_of(facts.begin(), facts.end(), [&](const RankFacts& rank) {
    return rank.host == facts[0].host && rank.process == facts[0].process;
  });
  const int sharing = cuda ? sharing_rank(placement, replica) : -1;
  if (choice == TransportChoice::nccl) {
    if (!cuda)
      throw Invalid("--transport nccl joins cards and the ranks compute on CPUs: give --transport mpi or auto");
    if (sharing >= 0)
      throw Invalid(
          "--transport nccl: " + named(facts, sharing) +
          " shares its card with another rank of its replica, which NCCL refuses: give --transport mpi, or a card "
          "to each");
    return Transport::nccl;
  }
  if (one_process) return Transport::thread;
  if (choice == TransportChoice::mpi || !cuda || sharing >= 0 || replica.ranks.size() == 1) return Transport::mpi;
  return Transport::nccl;
}

bool nvlinked(const Placement& placement, const Replica& replica, const std::vector<RankFacts>& facts) {
  const auto linked = [&](int rank, int other) {
    const RankPlace &mine = placement.ranks[rank], &theirs = placement.ranks[other];
    const std::vector<Card>& cards = facts[rank].cards;
    const auto from = std::ranges::find(cards, mine.card, &Card::uuid),
               to = std::ranges::find(cards, theirs.card, &Card::uuid);
    if (mine.host != theirs.host || from == cards.end() || to == cards.end() || from->distances.empty()) return false;
    return from->distances[static_cast<size_t>(to - cards.begin())] == kNvlink;
  };
  return std::ranges::all_of(replica.ranks, [&](int rank) {
    return std::ranges::all_of(replica.ranks, [&](int other) { return rank == other || linked(rank, other); });
  });
}

/// Of the ranks that a role says.
template <typename Role>
std::vector<const Card*> cards_of(const Placement& placement, const std::vector<RankFacts>& facts, const Role& role) {
  std::vector<const Card*> cards;
  for (const RankPlace& place : placement.ranks)
    for (const Card& card : facts[place.rank].cards)
      if (role(place) && card.uuid == place.card) cards.push_back(&card);
  return cards;
}

/// The first of the oldest; or null.
template <typename Role>
const Card* oldest_card(const Placement& placement, const std::vector<RankFacts>& facts, const Role& role) {
  const std::vector<const Card*> cards = cards_of(placement, facts, role);
  const auto oldest = std::ranges::min_element(cards, {}, &Card::capability);
  return oldest == cards.end() ? nullptr : *oldest;
}

/// Of what is said to be in fp8; what is left open never comes to that.
void require_formats(const Placement& placement, const std::vector<RankFacts>& facts) {
  const auto require = [&](const char* flag, Format format, const auto& role) {
    const Card* oldest = format == Format::fp8 ? oldest_card(placement, facts, role) : nullptr;
    if (oldest != nullptr && oldest->capability < kOldestWithFp8)
      throw Invalid(
          fmt::format("{} fp8: {} has no products in fp8, which came with compute capability 8.9 (Ada); give "
                      "int8",
                      flag, oldest->name));
  };
  const auto encodes = [](const RankPlace& place) { return place.encodes; };
  const auto denoises = [](const RankPlace& place) { return place.replica >= 0; };
  require("--quantize", placement.formats.transformer, denoises);
  require("--quantize-text-encoder", placement.formats.text_encoder, encodes);
  require("--quantize-modulation", placement.formats.modulation, encodes);
  if (placement.formats.attention == Format::dense) return;
  for (const Card* card : cards_of(placement, facts, denoises))
    if (card->capability != kWithFp8Attention)
      throw Invalid(fmt::format(
          "--quantize-attention fp8: there is a kernel for compute capability 9.0 (Hopper) alone, and {} has {}.{}; "
          "leave it out",
          card->name, card->capability / 10, card->capability % 10));
}

at::ScalarType dtype_of(DtypeChoice choice, const Placement& placement, const std::vector<RankFacts>& facts,
                        bool cuda) {
  switch (choice) {
    case DtypeChoice::fp32:
      return at::kFloat;
    case DtypeChoice::bf16:
      return at::kBFloat16;
    case DtypeChoice::fp16:
      return at::kHalf;
    case DtypeChoice::automatic:
      break;
  }
  if (!cuda) return at::kFloat;
  const Card* oldest = oldest_card(placement, facts, [](const RankPlace&) { return true; });
  return oldest == nullptr || oldest->capability >= 80 ? at::kBFloat16 : at::kHalf;
}

template <typename Role>
std::vector<int> ranks_with(const std::vector<RankPlace>& ranks, Role role) {
  std::vector<int> found;
  for (const auto& place : ranks)
    if (place.*role) found.push_back(place.rank);
  return found;
}

}  // namespace

std::vector<int> Placement::encoders() const { return ranks_with(ranks, &RankPlace::encodes); }

std::vector<int> Placement::decoders() const { return ranks_with(ranks, &RankPlace::decodes); }

bool Placement::within_a_host(const Replica& replica) const {
  const std::string& host = ranks[replica.ranks.front()].host;
  return std::ranges::all_of(replica.ranks, [&](int rank) { return ranks[rank].host == host; });
}

std::vector<std::string> Placement::warnings() const {
  std::vector<std::string> lines;
  const auto several = [&](const Replica& replica, std::string RankPlace::* what) {
    std::set<std::string> names;
    for (const int rank : replica.ranks) names.insert(ranks[rank].*what);
    return names.size() > 1 ? fmt::format("{}", fmt::join(names, ", ")) : "";
  };
  for (size_t i = 0; i < replicas.size(); ++i) {
    if (const auto hosts = several(replicas[i], &RankPlace::host); !hosts.empty())
      lines.push_back(fmt::format(
          "replica {} spans hosts ({}): its ranks wait for the network in every block; --replicas gives each its own",
          i, hosts));
    const auto models = several(replicas[i], &RankPlace::card_name);
    if (!models.empty() && demand.shares.empty())
      lines.push_back(fmt::format(
          "replica {} has cards of several models ({}): it is as slow as the slowest; --shares or --shares-from "
          "gives each what it can do",
          i, models));
  }
  return lines;
}

std::string Placement::named(int rank) const { return "rank " + std::to_string(rank) + " (" + ranks[rank].host + ")"; }

namespace {

/// What --shares or --shares-from says; of no places where neither is given.
CardShares card_shares(const std::vector<int>& sizes, const PlacementOptions& options,
                       const std::vector<RankFacts>& facts) {
  if (!options.card_steps.empty()) {
    if (!options.shares.empty()) throw Invalid("--shares and --shares-from say the same thing: leave one out");
    if (std::ranges::any_of(sizes, [&](int size) { return size != sizes.front(); }))
      throw Invalid(fmt::format("--shares-from and --replicas {}: replicas of one size share alike; give --shares",
                                fmt::join(sizes, ",")));
    return shares_by_speed(options.card_steps, static_cast<size_t>(sizes.front()), sizes.size(), facts);
  }
  for (const int size : sizes)
    if (!options.shares.empty() && options.shares.size() != static_cast<size_t>(size))
      throw Invalid(fmt::format("--shares {}: {} values, and a replica has {} rank{}: give one for each",
                                fmt::join(options.shares, ","), options.shares.size(), size, size == 1 ? "" : "s"));
  return {.shares = options.shares, .models = {}};
}

/// Replicas of these sizes on the ranks from `first` on.
Placement laid_out(const std::vector<int>& sizes, int first, const PlacementOptions& options, int threads,
                   const std::vector<RankFacts>& ranks_stand_on, const Demand& demand) {
  const std::vector<RankFacts> facts =
      options.card_steps.empty() ? ranks_stand_on : largest_cards_first(ranks_stand_on);
  const CardShares cards = card_shares(sizes, options, facts);
  Placement placement;
  placement.demand = demand;
  placement.demand.shares = cards.shares;
  std::map<std::string, int> ranks_on_host;
  for (const auto& rank : facts) ++ranks_on_host[rank.host];
  for (size_t rank = 0; rank < facts.size(); ++rank) {
    RankPlace place;
    place.rank = static_cast<int>(rank);
    place.host = facts[rank].host;
    place.host_addresses = facts[rank].host_addresses;
    place.threads = threads > 0 ? threads : std::max(1, facts[rank].cores / ranks_on_host[facts[rank].host]);
    placement.ranks.push_back(place);
  }
  for (auto& ranks : ranks_of(sizes, first, facts)) {
    Replica replica{.ranks = std::move(ranks)};
    const int size = static_cast<int>(replica.ranks.size());
    replica.text_ranks = text_ranks(demand.text_tokens, demand.image_tokens, size, cards.shares);
    for (int position = 0; position < size; ++position) {
      RankPlace& place = placement.ranks[replica.ranks[position]];
      place.replica = static_cast<int>(placement.replicas.size());
      place.position = position;
      place.text = position < replica.text_ranks;
    }
    placement.replicas.push_back(replica);
  }

  const bool cuda = use_cuda(options.device, facts);
  if (cuda) deal_cards(placement, facts, cards.models);
  for (auto& replica : placement.replicas)
    replica.transport = transport_of(options.transport, placement, replica, facts, cuda);
  for (auto& replica : placement.replicas) replica.nvlinked = nvlinked(placement, replica, facts);
  placement.dtype = dtype_of(options.dtype, placement, facts, cuda);
  placement.formats = options.formats.resolved(Format::dense);
  placement.context_parallel = options.context_parallel;
  placement.encoder_residency = options.encoder_residency.value_or(Residency::resident);
  if (!cuda && placement.encoder_residency == Residency::streamed)
    throw Invalid("--encoder-residency streamed: the ranks compute on CPUs, where the host's memory is all there is");
  return placement;
}

}  // namespace

Placement place(const PlacementOptions& options, int threads, const std::vector<RankFacts>& facts,
                const Demand& demand) {
  const int world = static_cast<int>(facts.size());
  const std::vector<int> sizes = replica_sizes(options, world);
  Placement placement = laid_out(sizes, encoders_alone(options, world), options, threads, facts, demand);
  const DecodeOn decode = options.decode.value_or(DecodeOn::encoder);
  for (int rank = 0; rank < options.encoders.value_or(1); ++rank) {
    placement.ranks[rank].encodes = true;
    placement.ranks[rank].decodes = decode == DecodeOn::encoder;
  }
  if (decode == DecodeOn::replica)
    for (const Replica& replica : placement.replicas) placement.ranks[replica.ranks.front()].decodes = true;
  require_formats(placement, facts);
  return placement;
}

Placement place_one_replica(const PlacementOptions& options, int threads, const std::vector<RankFacts>& facts,
                            const Demand& demand) {
  Placement placement = laid_out({static_cast<int>(facts.size())}, 0, options, threads, facts, demand);
  require_formats(placement, facts);
  return placement;
}

std::string as_text(const Formats& formats) {
  std::string text = format_name(formats.transformer);
  if (formats.text_encoder != formats.transformer)
    text += std::string(", text encoder ") + format_name(formats.text_encoder);
  if (formats.modulation != formats.transformer) text += std::string(", modulation ") + format_name(formats.modulation);
  if (formats.exchange != Format::dense) text += std::string(", exchange ") + format_name(formats.exchange);
  if (formats.attention != Format::dense) text += std::string(", attention ") + format_name(formats.attention);
  return text;
}

std::string shared_out_as_text(const Placement& placement) {
  std::vector<size_t> sizes;
  for (const Replica& replica : placement.replicas) sizes.push_back(replica.ranks.size());
  const size_t first = sizes.front(), count = sizes.size();
  const bool even = std::ranges::all_of(sizes, [&](size_t size) { return size == first; });
  std::string text =
      even ? fmt::format("{} replica{} of {} rank{}", count, count == 1 ? "" : "s", first, first == 1 ? "" : "s")
           : fmt::format("replicas of {} ranks", fmt::join(sizes, ", "));
  if (const size_t encode = placement.encoders().size(); encode > 1)
    text += fmt::format(", {} ranks that encode", encode);
  if (!placement.ranks.front().decodes) text += ", pictures decoded by the replicas";
  return text;
}

std::vector<std::string> table(const Placement& placement) {
  std::vector<std::string> lines;
  for (const auto& rank : placement.ranks) {
    std::ostringstream text;
    text << "rank " << rank.rank << "  " << rank.host << "  " << rank.device
         << (rank.card.empty() ? "" : " " + rank.card);
    if (rank.encodes) text << "  encodes";
    if (rank.decodes) text << "  decodes";
    if (rank.replica >= 0)
      text << "  denoises: replica " << rank.replica << ", part " << rank.position + 1 << " of "
           << placement.replicas[rank.replica].ranks.size() << (rank.text ? ", text and image" : ", image");
    text << "  " << rank.threads << (rank.threads == 1 ? " thread" : " threads");
    lines.push_back(text.str());
  }
  return lines;
}

}  // namespace flux
