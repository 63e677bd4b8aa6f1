#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/request.h"
#include "parallel/world.h"
#include "runtime/moments.h"
#include "runtime/placement.h"

namespace flux {

/// Collectives of one size over the ranks of a replica.
struct GatherTimes {
  std::string what;     // "even rows", or of a block of the transformer: "keys and values", or those "by heads"
  int64_t bytes = 0;    // that each rank has afterwards
  std::string carrier;  // Communicator::carrier
  Spread milliseconds;
};

/// all_gathers from 4 KiB to 64 MiB, and of the picture's keys and values, cut as a step cuts them; and all_to_alls of
/// these where the ranks divide the heads. Collective over the world, whose ranks are one replica.
std::vector<GatherTimes> measure_gathers(const TransformerConfig& config, const Placement& placement, World& world,
                                         const Picture& picture, int64_t text_tokens, int64_t repetitions);

}  // namespace flux
