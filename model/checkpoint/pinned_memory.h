#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace flux {

/// Memory of the host that stays where it is, so that a card copies from it at the link's speed while it computes:
/// [bytes] uint8. ATen's own would be as many bytes as the next power of two. Throws std::runtime_error
/// where the host does not lend so much.
at::Tensor pinned_memory(int64_t bytes);

}  // namespace flux
