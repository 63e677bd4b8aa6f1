#include "runtime/replica_choice.h"

#include <algorithm>
#include <exception>
#include <functional>
#include <limits>
#include <map>
#include <queue>
#include <ranges>
#include <string>
#include <utility>

#include "parallel/rank/errors.h"

namespace flux {
namespace {

/// How many ranks that draw share the card of one of them at most.
int64_t ranks_on_a_card(const Placement& placement, const Replica& replica) {
  const auto shared_with = [&](int rank) {
    const RankPlace& mine = placement.ranks[static_cast<size_t>(rank)];
    return static_cast<int64_t>(std::ranges::count_if(placement.ranks, [&](const RankPlace& other) {
      return other.replica >= 0 && other.host == mine.host && other.card == mine.card;
    }));
  };
  return std::ranges::max(replica.ranks | std::views::transform(shared_with));
}

/// Of a picture, where one card takes 1. On four H200s two ranks took 0.55 to 0.57 and four 0.30 to 0.36; ranks that
/// wait for a network or for the host in every block are taken to gain nothing.
double seconds_a_picture(const Placement& placement, const Replica& replica) {
  const auto ranks = static_cast<double>(replica.ranks.size());
  const bool waits = !placement.within_a_host(replica) || (ranks > 1 && replica.transport == Transport::mpi);
  const double alone = waits ? 1.2 : (1 + 0.08 * (ranks - 1)) / ranks;
  return alone * static_cast<double>(ranks_on_a_card(placement, replica));
}

/// Until all pictures are drawn, each by the replica that is done with it first.
double seconds_of_all(const Placement& placement, int64_t pictures) {
  constexpr int64_t enough = 1000;            // then the order of placements is that of their speeds
  using Replica = std::pair<double, double>;  // when its next picture is done, seconds a picture
  std::priority_queue<Replica, std::vector<Replica>, std::greater<>> replicas;
  for (const auto& replica : placement.replicas) {
    const double each = seconds_a_picture(placement, replica);
    replicas.emplace(each, each);
  }
  double last = 0;
  for (int64_t picture = 0; picture < std::min(pictures, enough); ++picture) {
    const auto [done, each] = replicas.top();
    replicas.pop();
    last = std::max(last, done);
    replicas.emplace(done + each, each);
  }
  return last;
}

int64_t pictures_at_once(Optimize optimize, int64_t pictures) {
  switch (optimize) {
    case Optimize::latency:
      return 1;
    case Optimize::throughput:
      return std::numeric_limits<int64_t>::max();
    case Optimize::automatic:
      break;
  }
  return pictures;
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

}  // namespace

std::vector<Placement> placements(const PlacementOptions& options, int threads, const std::vector<RankFacts>& facts,
                                  const Workload& workload) {
  const bool said =
      !options.replicas.empty() || options.ranks_per_replica || !options.shares.empty() || !options.card_steps.empty();
  const bool on_cpus = options.device == DeviceChoice::cpu || facts.front().cards.empty();
  const bool alone = static_cast<int>(facts.size()) <= options.encoders + 1;
  if (said || on_cpus || alone) return {place(options, threads, facts, workload.largest)};

  std::vector<Placement> found;
  std::exception_ptr refused;
  for (const std::vector<int>& way : ways_to_share(facts, options.encoders)) {
    PlacementOptions asked = options;
    asked.replicas = way;
    try {
      found.push_back(place(asked, threads, facts, workload.largest));
    } catch (const Invalid&) {  // --transport nccl, and ranks that share a card
      if (!refused) refused = std::current_exception();
    }
  }
  if (found.empty()) std::rethrow_exception(refused);
  const int64_t pictures = pictures_at_once(options.optimize, workload.pictures);
  std::ranges::stable_sort(found, {}, [&](const Placement& placement) { return seconds_of_all(placement, pictures); });
  return found;
}

}  // namespace flux
