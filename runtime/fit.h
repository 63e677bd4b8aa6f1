#pragma once

#include <vector>

#include "model/config.h"
#include "runtime/options.h"
#include "runtime/placement.h"

namespace flux {

/// Settles the formats that the options leave open, none first, so that every card holds its ranks: by its whole memory
/// or --memory-limit, and never by what is free. False where none does: then they are the smallest. `facts` are those
/// that the placement was made of.
bool settle_formats(Placement& placement, const ModelFolder& folder, const PlacementOptions& options,
                    const std::vector<RankFacts>& facts);

/// The same, and what each rank may take under --memory-limit. Where no formats fit, throws Invalid: which card lacks
/// how much, and the smallest change that helps.
void fit_to_cards(Placement& placement, const ModelFolder& folder, const PlacementOptions& options,
                  const std::vector<RankFacts>& facts);

}  // namespace flux
