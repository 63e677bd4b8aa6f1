#pragma once

#include "runtime/placement.h"

namespace flux {

/// The calling thread, and those that it starts, compute with as many threads as the place says, on the cores that lie
/// at its card.
void use_own_cores(const RankPlace& place);

}  // namespace flux
