#pragma once

#include <cstdint>

#include "model/checkpoint/checkpoint.h"
#include "runtime/moments.h"
#include "runtime/placement.h"

namespace flux {

/// What a prompt takes before it is denoised.
struct EncodeTimes {
  Spread encode;      // milliseconds by the clock, of T5, CLIP and the context embedder
  Spread modulation;  // of all steps at once
};

/// Encodes random tokens on one rank; the first times, in which libraries choose, are not counted.
EncodeTimes measure_encode(const Checkpoint& checkpoint, const Placement& placement, const RankPlace& place,
                           int64_t text_tokens, int64_t steps, int64_t repetitions);

}  // namespace flux
