#include "runtime/replica_choice.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <queue>
#include <set>
#include <string>
#include <utility>

namespace flux {
namespace {

/// Of a picture, where one rank takes 1. On four H200s two ranks took 0.55 to 0.57 and four 0.30 to 0.36; ranks that
/// wait for a network in every block are taken to gain nothing.
double seconds_a_picture(const Placement& placement, const Replica& replica) {
  std::set<std::string> hosts;
  for (const int rank : replica.ranks) hosts.insert(placement.ranks[static_cast<size_t>(rank)].host);
  const auto ranks = static_cast<double>(replica.ranks.size());
  return hosts.size() > 1 ? 1.2 : (1 + 0.08 * (ranks - 1)) / ranks;
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

}  // namespace

std::vector<Placement> placements(const PlacementOptions& options, int threads, const std::vector<RankFacts>& facts,
                                  const Workload& workload) {
  const auto with = [&](const PlacementOptions& asked) { return place(asked, threads, facts, workload.largest); };
  std::vector<Placement> found = {with(options)};
  const bool on_cards = !found.front().ranks.front().card.empty();
  const bool said = !options.replicas.empty() || options.ranks_per_replica || !options.shares.empty();
  if (said || !on_cards) return found;

  const int ranks = static_cast<int>(found.front().replicas.front().ranks.size());  // of all replicas
  for (int replicas = 2; replicas <= ranks; ++replicas) {
    if (ranks % replicas != 0) continue;
    PlacementOptions asked = options;
    asked.replicas = {replicas};
    found.push_back(with(asked));
  }
  const int64_t pictures = pictures_at_once(options.optimize, workload.pictures);
  std::ranges::stable_sort(found, {}, [&](const Placement& placement) { return seconds_of_all(placement, pictures); });
  return found;
}

}  // namespace flux
