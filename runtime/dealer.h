#pragma once

// Which card each rank computes on.

#include "runtime/placement.h"

namespace flux {

/// Gives every rank of the placement, whose roles are decided, a card that it sees: one with the fewest ranks on it.
/// Among these, one of the model that its replica has; then one with the fewest ranks that hold text, for these hold
/// most; then one that lies close to the replica's others (Card::distances). Throws Invalid for a card that CUDA 13
/// does not program.
void deal_cards(Placement& placement, const std::vector<RankFacts>& facts);

}  // namespace flux
