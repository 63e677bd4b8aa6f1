#pragma once

#include <vector>

#include "runtime/options.h"
#include "runtime/placement.h"

namespace flux {

/// Where the options say how the ranks are shared out, that placement. Else every even way to do so, and a replica a
/// host, the best one first (PlacementOptions::optimize), by how much sooner so many ranks draw a picture than one
/// does: measured, stored, the same on every machine. Ranks that compute on CPUs share one transformer.
std::vector<Placement> placements(const PlacementOptions& options, int threads, const std::vector<RankFacts>& facts,
                                  const Workload& workload);

}  // namespace flux
