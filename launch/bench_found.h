#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

#include "model/checkpoint/checkpoint.h"
#include "model/request.h"
#include "parallel/world.h"
#include "runtime/moments.h"
#include "runtime/options/convert.h"
#include "runtime/placement.h"

namespace flux {

/// What bench measures, the same on every rank.
struct Subject {
  Checkpoint checkpoint;
  Picture picture;
  BenchOptions options;
};

/// What rank 0 prints of a measurement. Objects with plain values, but for `whole`.
struct Found {
  nlohmann::ordered_json heading;            // what was measured, and with what
  std::vector<nlohmann::ordered_json> rows;  // what came out
  nlohmann::ordered_json whole;              // both, as --json has them
  std::string text;                          // both, for people
};

// One function for each measure that is a table. Collective over the world; of rank 0 what is returned counts.
Found found_of_step(const Subject& subject, const Placement& placement, World& world);
Found found_of_decode(const Subject& subject, const Placement& placement, World& world);
Found found_of_stages(const Subject& subject, const Placement& placement, World& world);
Found found_of_comm(const Subject& subject, const Placement& placement, World& world);

// What they share.
nlohmann::ordered_json heading(const Subject& subject, const Placement& placement);
std::string heading_text(const nlohmann::ordered_json& heading, const char* what);
nlohmann::ordered_json as_json(const Spread& milliseconds);
std::string spread_text(const nlohmann::ordered_json& milliseconds);

/// Of weights_bytes and the like of a row.
std::string bytes_text(const nlohmann::ordered_json& row);

/// Which rank measures, and on what.
nlohmann::ordered_json measured_by(const RankPlace& place);

/// What its card is doing now, at the end of a measurement: sm_mhz, power_w, temperature_c, as far as the driver says.
/// Where it is held down for heat there is a warning.
nlohmann::ordered_json state_of_card(const RankPlace& place);
std::string state_text(const nlohmann::ordered_json& row);

/// The row without levels: the members of objects in it beside its own, as a table has them.
nlohmann::ordered_json level(const nlohmann::ordered_json& row);

}  // namespace flux
