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

/// all_gathers of one size over the ranks of a replica.
struct GatherTimes {
  std::string what;     // "even rows", or "keys and values": what a block of the transformer gathers
  int64_t bytes = 0;    // of all ranks
  std::string carrier;  // Communicator::carrier
  Spread milliseconds;
};

/// From 4 KiB to 64 MiB, and of the picture's keys and values, cut as a step cuts them. Collective over the world,
/// whose ranks are one replica.
std::vector<GatherTimes> measure_gathers(const TransformerConfig& config, const Placement& placement, World& world,
                                         const Picture& picture, int64_t text_tokens, int64_t repetitions);

}  // namespace flux
