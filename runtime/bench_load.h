#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "model/checkpoint/checkpoint.h"
#include "runtime/moments.h"
#include "runtime/placement.h"

namespace flux {

struct LoadTimes {
  Spread milliseconds;  // until the weights are where they are computed with
  int64_t bytes = 0;    // of the files, each time
};

/// What stays for as long as it is held.
using Loaded = std::shared_ptr<const void>;

/// Loads again and again, one at a time. The first counts too: files may not be in memory yet.
LoadTimes measure_load(const Checkpoint& checkpoint, const RankPlace& place,
                       const std::function<Loaded(const Checkpoint&)>& load, int64_t repetitions);

}  // namespace flux
