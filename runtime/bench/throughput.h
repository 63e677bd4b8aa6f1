#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "model/checkpoint/checkpoint.h"
#include "parallel/rank/departure.h"
#include "parallel/world.h"
#include "runtime/bench/energy.h"
#include "runtime/bench/load.h"
#include "runtime/bench/picture_log.h"
#include "runtime/options.h"
#include "runtime/record.h"
#include "runtime/sink/output_folder.h"

namespace flux {

/// What rank 0 has besides what all ranks have.
struct ThroughputDesk {
  Load& load;
  OutputFolder* output = nullptr;  // null: pictures are counted and dropped
};

/// What was seen of a run, on rank 0.
struct ThroughputRun {
  int exit_code = 0;  // of an orderly end: 1: some pictures failed
  PictureLog log;
  std::vector<int64_t> peak_memory;  // bytes, by rank
  double coordinating = 0;           // seconds that the coordinator's thread had a core
  std::vector<CardEnergy> energy;    // by wave
};

/// Draws what the load asks for with the ranks of generate: collective over the world; `desk`: of rank 0, else null.
/// Where the run ends early the world is ended, and the exit code is not orderly.
ThroughputRun run_throughput(const Checkpoint& checkpoint, const RunFacts& facts, const OperationOptions& operation,
                             const ThroughputDesk* desk, World& world, Departure& departure);

}  // namespace flux
