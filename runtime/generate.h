#pragma once

#include <memory>

#include "model/config.h"
#include "parallel/rank/departure.h"
#include "parallel/world.h"
#include "runtime/options.h"
#include "runtime/sink/output_folder.h"
#include "runtime/source/source.h"

namespace flux {

/// Everything generate needs. The same on every rank, save for what rank 0 alone has: where requests come from (it
/// alone may have read standard input) and where pictures go.
struct GenerateRequest {
  ModelFolder folder;
  std::string model;  // as the user would call it
  PlacementOptions placement;
  OperationOptions operation;
  bool allow_changes = false;  // of what fixes the bits, where a run is resumed
  uint64_t seed = 0;           // of the run
  std::unique_ptr<OutputFolder> output;
  std::unique_ptr<Source> source;
};

/// Draws what is asked for; every rank of the world calls it. Returns the exit code: 0 all pictures are there, 1 some
/// failed. Throws Invalid, on every rank, for what is wrong with the run before anything is loaded. Where the run
/// ends early the world is ended, and this returns while the process is about to be.
int run_generate(GenerateRequest& request, World& world, Departure& departure);

}  // namespace flux
