#pragma once

#include <vector>

#include "runtime/bench/picture_log.h"

namespace flux {

/// What a replica did in a span of time, seconds. All together are the span.
struct ReplicaUse {
  double busy = 0;                 // denoising, as its leader says
  double no_request = 0;           // nobody asked for more
  double waiting_for_encoder = 0;  // what is asked for is not encoded
  double waiting_for_decoder = 0;  // what is encoded is held back: too many latents wait for a decoder
  double transfer = 0;             // tensors on their way to it and from it
  double straggler = 0;            // nothing is left to begin, and another replica still draws
  double drain = 0;                // nor draws any: the last pictures are decoded and written
};

/// From `from`, when nothing is under way, to `to`, when all of `pictures` are done.
std::vector<ReplicaUse> replica_use(const std::vector<PictureTimes>& pictures, int replicas, Time from, Time to);

}  // namespace flux
