#include "runtime/replica_sizes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <sstream>
#include <string>

#include "parallel/rank/errors.h"

namespace flux {
namespace {

[[noreturn]] void does_not_fit(int world, const std::string& why, const std::vector<int>& fitting, bool more) {
  std::ostringstream text;
  text << "a world of " << world << (world == 1 ? " rank" : " ranks") << " does not fit " << why
       << ": start with mpirun";
  for (size_t i = 0; i < fitting.size(); ++i) text << (i ? ", " : " ") << "-n " << fitting[i];
  if (more) text << ", ...";
  throw Invalid(text.str());
}

/// Worlds with the encoders and a multiple of `unit` transformer ranks, from those about `world` on.
void require_multiple(int world, int encoders, int unit, const std::string& flag) {
  const int workers = world - encoders;
  if (workers > 0 && workers % unit == 0) return;
  const int apart = std::max(1, encoders), below = std::max(1, workers / unit);
  does_not_fit(world, flag + " " + std::to_string(unit),
               {apart + below * unit, apart + (below + 1) * unit, apart + (below + 2) * unit}, true);
}

}  // namespace

int encoders_alone(const PlacementOptions& options, int world) {
  const int encoders = options.encoders.value_or(1);
  if (encoders < 1) throw Invalid("--encoders " + std::to_string(encoders) + ": give a value of at least 1");
  return world == 1 && encoders == 1 ? 0 : encoders;
}

std::vector<int> replica_sizes(const PlacementOptions& options, int world) {
  const int encoders = encoders_alone(options, world), asked = options.encoders.value_or(1);
  const int workers = world - encoders;
  for (int value : options.replicas)
    if (value < 1) throw Invalid("--replicas " + std::to_string(value) + ": give values of at least 1");
  if (options.ranks_per_replica && *options.ranks_per_replica < 1)
    throw Invalid("--ranks-per-replica " + std::to_string(*options.ranks_per_replica) + ": give a value of at least 1");

  if (options.replicas.size() > 1) {
    if (options.ranks_per_replica)
      throw Invalid("--replicas with several values gives the ranks of each replica: leave out --ranks-per-replica");
    const int sum = std::accumulate(options.replicas.begin(), options.replicas.end(), 0);
    if (sum != workers)
      does_not_fit(world, "--replicas with " + std::to_string(sum) + " ranks in all", {asked + sum}, false);
    return options.replicas;
  }
  if (options.replicas.empty()) {
    if (!options.shares.empty() && !options.ranks_per_replica) {
      const int each = static_cast<int>(options.shares.size());
      require_multiple(world, encoders, each,
                       fmt::format("--shares {} and replicas of", fmt::join(options.shares, ",")));
      return std::vector<int>(workers / each, each);
    }
    if (!options.ranks_per_replica) {
      require_multiple(world, encoders, 1, "--encoders " + std::to_string(asked) + " and replicas of");
      return {workers};
    }
    require_multiple(world, encoders, *options.ranks_per_replica, "--ranks-per-replica");
    return std::vector<int>(workers / *options.ranks_per_replica, *options.ranks_per_replica);
  }
  const int replicas = options.replicas.front();
  if (!options.ranks_per_replica) {
    require_multiple(world, encoders, replicas, "--replicas");
    return std::vector<int>(replicas, workers / replicas);
  }
  const int each = *options.ranks_per_replica;
  if (replicas * each != workers) {
    std::vector<int> fitting = {asked + replicas * each};
    if (replicas * each == 1 && asked == 1) fitting.insert(fitting.begin(), 1);
    does_not_fit(world, "--replicas " + std::to_string(replicas) + " --ranks-per-replica " + std::to_string(each),
                 fitting, false);
  }
  return std::vector<int>(replicas, each);
}

}  // namespace flux
