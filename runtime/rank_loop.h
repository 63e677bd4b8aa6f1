#pragma once

#include "parallel/rank/departure.h"
#include "parallel/world.h"
#include "runtime/coordinator.h"
#include "runtime/options.h"
#include "runtime/placement.h"
#include "runtime/worker.h"

namespace flux {

/// What a rank's loop passes messages between.
struct RankLoop {
  World& world;
  const Departure& departure;
  const Placement& placement;
  const OperationOptions& operation;
  Worker& worker;
  Coordinator* coordinator = nullptr;  // on rank 0

  /// Until the run has ended, which the coordinator decides; throws Aborted when the world ended first.
  Ending run() const;
};

}  // namespace flux
