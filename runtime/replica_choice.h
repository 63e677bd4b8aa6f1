#pragma once

#include <vector>

#include "runtime/options.h"
#include "runtime/placement.h"

namespace flux {

/// Every way to share out the ranks that the options leave open, the best one first (PlacementOptions::optimize): even
/// replicas, or one a host; ranks that encode, 1, 2, 4 ..., and who decodes, where that is sooner done. By constants:
/// what stages took that were measured, the same on every machine. Ranks that compute on CPUs share one transformer,
/// and one encodes and decodes.
std::vector<Placement> placements(const PlacementOptions& options, int threads, const std::vector<RankFacts>& facts,
                                  const Workload& workload);

}  // namespace flux
