#pragma once

// Which card each rank computes on.

#include "runtime/placement.h"

namespace flux {

/// Gives every rank of the placement, whose roles are decided, a card that it sees: one with the fewest ranks on it.
/// Among these, one of the model that its place in a replica is said to have, or that its replica has; then one with
/// the fewest ranks that hold text, for these hold most; then one that lies close to the replica's others
/// (Card::distances). Throws Invalid for a card that CUDA 13 does not program. `models`: by place in a replica, or
/// empty.
void deal_cards(Placement& placement, const std::vector<RankFacts>& facts, const std::vector<std::string>& models);

}  // namespace flux
