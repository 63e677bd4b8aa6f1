// A decoding on rank 0; the others wait.

#include "runtime/bench_decode.h"

#include <fmt/format.h>

#include "launch/bench_found.h"
#include "runtime/roll_call.h"

namespace flux {

using Json = nlohmann::ordered_json;

Found found_of_decode(const Subject& subject, const Placement& placement, World& world) {
  Found found{heading(subject, placement), {}, heading(subject, placement), {}};
  together(world, [&] {
    if (world.rank() != 0) return;
    const RankPlace& place = placement.ranks.front();
    const DecodeTimes times =
        measure_decode(subject.checkpoint, place, placement.dtype, subject.picture, subject.options.repetitions);
    Json row = measured_by(place);
    row["decode"] = as_json(times.milliseconds);
    row["weights_bytes"] = times.weights;
    row["buffers_bytes"] = times.buffers;
    row.update(state_of_card(place));
    found.whole.update(row);
    found.rows.push_back(level(row));
    found.text = heading_text(found.heading, "a decoding") + fmt::format("rank 0   {} {}: {}; {}{}\n", place.host,
                                                                         place.card_name, spread_text(row["decode"]),
                                                                         bytes_text(row), state_text(row));
  });
  return found;
}

}  // namespace flux
