#pragma once

#include <functional>
#include <vector>

#include "parallel/world.h"
#include "runtime/messages.h"

namespace flux {

/// Collective. Runs `step` on this rank; where it is Invalid on any rank, it is on every rank, with the words of the
/// lowest of them.
void together(World& world, const std::function<void()>& step);

/// Collective. Everybody's, by rank.
std::vector<Hello> introduce(World& world, const Hello& mine);

}  // namespace flux
