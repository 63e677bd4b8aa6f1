#pragma once

#include <cstdint>

#include "model/checkpoint/checkpoint.h"
#include "model/request.h"
#include "runtime/moments.h"
#include "runtime/placement.h"

namespace flux {

/// Milliseconds of decoding random latents to a picture on the host, by the clock; the first ones, in which libraries
/// choose, are not counted.
Spread measure_decode(const Checkpoint& checkpoint, const RankPlace& place, at::ScalarType dtype,
                      const Picture& picture, int64_t repetitions);

}  // namespace flux
