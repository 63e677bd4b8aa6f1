#pragma once

#include <string>
#include <vector>

#include "model/config.h"
#include "runtime/options.h"
#include "runtime/placement.h"
#include "runtime/plan.h"

namespace flux {

/// Every way to run on these cards of one host that fits them, by number of ranks, replicas, format and residency as
/// far as the options leave them open. The best first: those that let most cards denoise, that lose least to rounding,
/// and of these the ones with most replicas, or fewest (PlacementOptions::optimize, latency); streamed only where the
/// same does not fit resident.
std::vector<Plan> arrangements(const ModelFolder& folder, const PlacementOptions& options, const RankFacts& host,
                               const PlanRequest& request);

/// A line each, with the options that ask for it.
std::string as_text(const std::vector<Plan>& arrangements);
std::string as_json(const std::vector<Plan>& arrangements);

}  // namespace flux
