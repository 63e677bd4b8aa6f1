#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

#include "runtime/bench/throughput_result.h"

namespace flux {

/// One page of HTML with charts in SVG, without a server, a script or anything from elsewhere: a table of all waves,
/// how latencies are distributed, requests that arrived and were completed, what every rank did when, and throughput
/// and latencies over the offered load where several rates were measured. Light or dark as the reader's browser has it,
/// and light on paper. `results`: throughput_json() of each wave. What came from prompts is escaped.
std::string throughput_report(const std::vector<WaveResult>& waves, const std::vector<nlohmann::ordered_json>& results);

}  // namespace flux
