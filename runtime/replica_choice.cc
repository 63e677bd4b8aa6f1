#include "runtime/replica_choice.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <functional>
#include <limits>
#include <map>
#include <queue>
#include <ranges>
#include <set>
#include <string>
#include <utility>

#include "parallel/rank/errors.h"
#include "runtime/card_steps.h"

namespace flux {
namespace {

bool on_one_card(const RankPlace& one, const RankPlace& other) {
  return one.host == other.host && one.card == other.card;
}

/// How many ranks that draw share the card of one of them at most.
int64_t ranks_on_a_card(const Placement& placement, const Replica& replica) {
  const auto shared_with = [&](int rank) {
    const RankPlace& mine = placement.ranks[static_cast<size_t>(rank)];
    return static_cast<int64_t>(std::ranges::count_if(
        placement.ranks, [&](const RankPlace& other) { return other.replica >= 0 && on_one_card(mine, other); }));
  };
  return std::ranges::max(replica.ranks | std::views::transform(shared_with));
}

/// Of a picture of one step, where one card takes 1. On four H200s two ranks took 0.55 to 0.57 and four 0.30 to 0.36;
/// ranks that wait for a network or for the host in every block are taken to gain nothing.
double seconds_a_step(const Placement& placement, const Replica& replica) {
  const auto ranks = static_cast<double>(replica.ranks.size());
  const bool waits = !placement.within_a_host(replica) || (ranks > 1 && replica.transport == Transport::mpi);
  const double alone = waits ? 1.2 : (1 + 0.08 * (ranks - 1)) / ranks;
  return alone * static_cast<double>(ranks_on_a_card(placement, replica));
}

// Of one picture, in steps of one card: encoded with the modulation of its steps in 17 ms and decoded in 27, where a
// step of 4608 tokens took 81 on an H200 in int8. To encode takes the same for pictures of any size.
double encode_seconds(const Demand& largest) {
  constexpr double measured = 17. / 81, at_tokens = 4608;
  return measured * at_tokens / static_cast<double>(std::max<int64_t>(1, largest.image_tokens + largest.text_tokens));
}
constexpr double decode_seconds = 27. / 81;

/// Whether a card of the replica is an encoder's too.
bool shares_with_encoder(const Placement& placement, const Replica& replica) {
  return std::ranges::any_of(placement.encoders(), [&](int encoder) {
    const RankPlace& other = placement.ranks[static_cast<size_t>(encoder)];
    return std::ranges::any_of(
        replica.ranks, [&](int rank) { return on_one_card(placement.ranks[static_cast<size_t>(rank)], other); });
  });
}

/// Of the encoders with all pictures, decoding included where they decode.
double seconds_of_encoders(const Placement& placement, const Workload& workload) {
  std::set<std::pair<std::string, std::string>> cards;  // ranks on one card are no faster than one
  for (const int rank : placement.encoders()) {
    const RankPlace& place = placement.ranks[static_cast<size_t>(rank)];
    cards.emplace(place.host, place.card);
  }
  const double each = encode_seconds(workload.largest) + (placement.ranks.front().decodes ? decode_seconds : 0);
  return each * std::ceil(static_cast<double>(workload.pictures) / static_cast<double>(cards.size()));
}

/// Until all pictures are there, each drawn by the replica that is done with it first: no sooner than the encoders are
/// done, and later where a card does both.
double seconds_of_all(const Placement& placement, const Workload& workload) {
  using Replica = std::pair<double, double>;  // when its next picture is drawn, seconds a picture
  const bool encoders_decode = placement.ranks.front().decodes;
  const double first = encode_seconds(workload.largest), encoders = seconds_of_encoders(placement, workload);
  std::priority_queue<Replica, std::vector<Replica>, std::greater<>> replicas;
  for (const auto& replica : placement.replicas) {
    const double each = workload.steps * seconds_a_step(placement, replica) + (encoders_decode ? 0 : decode_seconds);
    replicas.emplace(each + (shares_with_encoder(placement, replica) ? encoders : first), each);
  }
  double last = encoders;
  for (int64_t picture = 0; picture < workload.pictures; ++picture) {
    const auto [drawn, each] = replicas.top();
    replicas.pop();
    last = std::max(last, drawn + (encoders_decode ? decode_seconds : 0));
    replicas.emplace(drawn + each, each);
  }
  return last;
}

/// The pictures that are to be drawn soonest; of very many, so many that placements are in the order of their speeds.
int64_t pictures_at_once(Optimize optimize, int64_t pictures) {
  constexpr int64_t enough = 1000;
  switch (optimize) {
    case Optimize::latency:
      return 1;
    case Optimize::throughput:
      return enough;
    case Optimize::automatic:
      break;
  }
  return std::min(pictures, enough);
}

/// Ways to share out the ranks that draw, as --replicas has them: evenly, and a replica for each host.
std::vector<std::vector<int>> ways_to_share(const std::vector<RankFacts>& facts, int encoders) {
  std::vector<std::string> hosts;
  std::map<std::string, int> on_host;
  for (size_t rank = static_cast<size_t>(encoders); rank < facts.size(); ++rank)
    if (on_host[facts[rank].host]++ == 0) hosts.push_back(facts[rank].host);
  const int ranks = static_cast<int>(facts.size()) - encoders;
  std::vector<std::vector<int>> ways;
  for (int replicas = 1; replicas <= ranks; ++replicas)
    if (ranks % replicas == 0) ways.push_back({replicas});
  std::vector<int> of_hosts;
  for (const std::string& host : hosts) of_hosts.push_back(on_host[host]);
  if (std::ranges::adjacent_find(of_hosts, std::ranges::not_equal_to()) != of_hosts.end()) ways.push_back(of_hosts);
  return ways;
}

/// Whether the options leave open how many ranks draw a picture together.
bool leave_replicas_open(const PlacementOptions& options) {
  return options.replicas.empty() && !options.ranks_per_replica && options.shares.empty() && options.card_steps.empty();
}

/// What --shares-from says, and less and less uneven: a card may lack the memory for the share that its speed gives it.
std::vector<CardSteps> less_and_less_uneven(const CardSteps& steps) {
  std::vector<CardSteps> all = {steps};
  if (!steps.empty())
    for (const double by : {0.25, 0.5, 0.75, 1.0}) all.push_back(evened(steps, by));
  return all;
}

/// What the options leave open, said in every way for so many encoders; where encoders decode, first.
std::vector<PlacementOptions> said(const PlacementOptions& options, const std::vector<RankFacts>& facts, int encoders) {
  std::vector<PlacementOptions> all;
  for (const DecodeOn decode : {DecodeOn::encoder, DecodeOn::replica}) {
    if (decode != options.decode.value_or(decode)) continue;
    PlacementOptions asked = options;
    asked.encoders = encoders;
    asked.decode = decode;
    for (const auto& replicas : leave_replicas_open(options) ? ways_to_share(facts, encoders)
                                                             : std::vector<std::vector<int>>{options.replicas}) {
      asked.replicas = replicas;
      for (const CardSteps& steps : less_and_less_uneven(options.card_steps)) {
        asked.card_steps = steps;
        all.push_back(asked);
      }
    }
  }
  return all;
}

}  // namespace

std::vector<Placement> placements(const PlacementOptions& options, int threads, const std::vector<RankFacts>& facts,
                                  const Workload& workload) {
  constexpr double worth_it = 0.99;  // of the time, for encoders and decoders other than usual
  constexpr double limits = 0.9;     // of the time, that encoders are at work
  const int ranks = static_cast<int>(facts.size());
  const bool on_cpus = options.device == DeviceChoice::cpu || facts.front().cards.empty();
  const int first = options.encoders.value_or(1);
  if (on_cpus || first >= ranks) return {place(options, threads, facts, workload.largest)};

  Workload drawn = workload;
  drawn.pictures = pictures_at_once(options.optimize, workload.pictures);
  std::vector<std::pair<double, Placement>> found;
  std::exception_ptr refused;
  double best = std::numeric_limits<double>::infinity();
  const int most = options.encoders || !leave_replicas_open(options) ? first : ranks - 1;
  for (int encoders = first; encoders <= most; encoders *= 2) {
    bool are_limit = false;  // of the best
    for (const PlacementOptions& asked : said(options, facts, encoders)) {
      try {
        Placement placement = place(asked, threads, facts, workload.largest);
        const double seconds = seconds_of_all(placement, drawn);
        const bool usual = encoders == first && asked.decode == options.decode.value_or(DecodeOn::encoder);
        if (!usual && seconds > worth_it * best) continue;
        if (seconds < best) are_limit = seconds_of_encoders(placement, drawn) > limits * seconds;
        best = std::min(best, seconds);
        found.emplace_back(seconds, std::move(placement));
      } catch (const Invalid&) {  // --transport nccl, and ranks that share a card
        if (!refused) refused = std::current_exception();
      }
    }
    if (!are_limit) break;
  }
  if (found.empty()) std::rethrow_exception(refused);
  std::ranges::stable_sort(found, {}, &std::pair<double, Placement>::first);
  std::vector<Placement> ordered;
  for (auto& [seconds, placement] : found) ordered.push_back(std::move(placement));
  return ordered;
}

}  // namespace flux
