#pragma once

#include <cstdint>

#include "model/checkpoint/checkpoint.h"
#include "model/request.h"
#include "runtime/moments.h"
#include "runtime/placement.h"

namespace flux {

struct DecodeTimes {
  Spread milliseconds;  // by the clock
  int64_t weights = 0;  // bytes on a card
  int64_t buffers = 0;  // bytes that the allocator gave out at most, beside the weights; 0 on a CPU
};

/// Decodes random latents to a picture on the host; the first times, in which libraries choose, are not counted.
DecodeTimes measure_decode(const Checkpoint& checkpoint, const RankPlace& place, at::ScalarType dtype,
                           const Picture& picture, int64_t repetitions);

}  // namespace flux
