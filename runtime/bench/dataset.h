#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "model/config.h"
#include "runtime/bench/load.h"
#include "runtime/options/throughput_options.h"
#include "runtime/source/picture_size.h"

namespace flux {

/// What bench throughput asks for: a warm-up, which comes first, and a wave for each request rate, or one. Requests of
/// the waves are the dataset's, from the beginning and again where it is shorter; those of the warm-up have the last
/// positions in the run, so that the others' seeds do not depend on them. Settings hold the model's defaults. Throws
/// Invalid, also for a line of the file that cannot be drawn.
struct ThroughputLoad {
  std::unique_ptr<Load> load;
  size_t first_measured = 0;  // wave
  int64_t warmup_requests = 0;
};
ThroughputLoad throughput_load(const Settings& settings, const ModelFolder& model, const ThroughputOptions& options,
                               int64_t replicas, const Warn& warn);

}  // namespace flux
