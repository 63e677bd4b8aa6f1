#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

#include "parallel/communicator.h"

namespace flux {

/// Collectives of the same bytes, one behind the other.
struct Gathers {
  std::vector<double> milliseconds;  // of each
  std::string carrier;               // Communicator::carrier
};

/// Rank r gives bytes[r] of a buffer of the group's. Collective over it; the first gathers, in which ranks connect, are
/// not counted.
Gathers timed_gathers(Communicator& group, at::Device device, const std::vector<int64_t>& bytes, int64_t repetitions);

/// Rank r gives every rank a size-th of bytes[r]. As above.
Gathers timed_all_to_alls(Communicator& group, at::Device device, const std::vector<int64_t>& bytes,
                          int64_t repetitions);

/// Of about so many bytes in all, from each of `ranks` as many, and one at least.
std::vector<int64_t> even_bytes(int64_t bytes, int ranks);

}  // namespace flux
