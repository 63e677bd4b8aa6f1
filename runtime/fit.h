#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/config.h"
#include "runtime/options.h"
#include "runtime/placement.h"
#include "runtime/plan.h"
#include "runtime/replica_choice.h"

namespace flux {

/// What is left open of parts that the folder holds quantized is as they are there; of bitsandbytes' 8 bits
/// int8-outliers may be asked for. Throws Invalid where something else is asked for: they are never quantized again.
FormatChoices with_stored_formats(const FormatChoices& asked, const ModelFolder& folder);

/// Bytes of every card that the ranks see, by name, as far as the limit (0: none) goes; 0: not known.
std::map<std::string, int64_t> card_memory(const std::vector<RankFacts>& facts, int64_t limit);

/// Settles what the options leave open of formats and residency, so that every card of the request holds its ranks: by
/// its memory, never by what is free. Nothing is quantized where that fits any of the placements; what is streamed is
/// so where nothing else fits. Of those that fit then the first. Where none fits, the plan that lacks least.
Plan settle(const std::vector<Placement>& placements, const ModelFolder& folder, const PlacementOptions& options,
            const PlanRequest& request);

/// The same for the cards that there are, and what each rank may take under --memory-limit. Where nothing fits,
/// throws Invalid: which card lacks how much, and the smallest change that helps. `facts` are those that the placements
/// were made of.
Placement fit_to_cards(const std::vector<Placement>& placements, const ModelFolder& folder,
                       const PlacementOptions& options, const std::vector<RankFacts>& facts);

}  // namespace flux
