#pragma once

#include <vector>

#include "model/config.h"
#include "parallel/rank/departure.h"
#include "parallel/world.h"
#include "runtime/options.h"

namespace flux {

/// Everything generate needs. The same on every rank, save for the jobs: only those of rank 0 count (it alone may
/// have read stdin), others may leave them empty.
struct GenerateRequest {
  ModelFolder folder;
  PlacementOptions placement;
  OutputOptions output;
  OperationOptions operation;
  std::vector<Job> jobs;
};

/// Draws the jobs; every rank of the world calls it. Returns the exit code, the same on every rank: 0 all pictures are
/// there, 1 some failed, 2 the configuration is wrong, 3 a rank failed. Rank 0 has said why; nothing is thrown.
/// On SIGTERM and SIGINT (rank 0) the process ends after the journal is complete: 143, 130, or 3 for a rank that died.
int run_generate(const GenerateRequest& request, World& world, Departure& departure);

}  // namespace flux
