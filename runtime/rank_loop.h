#pragma once

#include <chrono>

#include "parallel/rank/departure.h"
#include "parallel/world.h"
#include "runtime/coordinator.h"
#include "runtime/options.h"
#include "runtime/placement.h"
#include "runtime/worker.h"

namespace flux {

/// How soon a rank answers a signal: a launcher that told it to end gives it two seconds.
constexpr std::chrono::milliseconds kToAnswer{1800};

/// Ends the loops of the other ranks, in order.
void stop_others(World& world, int exit_code);

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
