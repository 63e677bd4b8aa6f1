#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace flux {

/// Bytes: what ATen took of the card at most since the rank's stages were loaded, theirs included (the driver's, NCCL's
/// and the libraries' own are not); on a CPU the largest resident set of the process. Not while they load.
int64_t peak_memory(at::Device device);

}  // namespace flux
