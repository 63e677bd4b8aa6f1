#pragma once

#include "model/config.h"
#include "parallel/world.h"
#include "runtime/options.h"
#include "runtime/placement.h"
#include "runtime/replica_choice.h"

namespace flux {

/// By headers alone, so that what is missing is said before gigabytes are read. Throws Invalid.
void require_complete(const ModelFolder& folder);

/// What every rank works out for itself; `drawable`: whether there is anything to draw.
struct Agreement {
  Placement placement;
  bool drawable = false;
};

/// To the log: the replicas, where there could be others, and what is slow about them.
void say_how_ranks_are_shared(const Placement& placement);

/// Collective. The same on every rank, from what each stands on and the workload of rank 0, which alone has the
/// requests.
/// Throws Invalid, on every rank, where the world does not fit the options, or the model its cards.
Agreement agree(World& world, const ModelFolder& folder, const PlacementOptions& options, int threads,
                const Workload& mine);

}  // namespace flux
