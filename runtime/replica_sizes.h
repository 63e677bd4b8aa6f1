#pragma once

#include <vector>

#include "runtime/options.h"

namespace flux {

/// Ranks that do not denoise: none of a world of one, which does everything. Throws Invalid.
int encoders_alone(const PlacementOptions& options, int world);

/// Ranks of every replica of a world, in order. Throws Invalid where the options ask for more or less than there are,
/// with the worlds that would do.
std::vector<int> replica_sizes(const PlacementOptions& options, int world);

}  // namespace flux
