// What gathers between the ranks of a replica take, by size.

#include "runtime/bench_comm.h"

#include <fmt/format.h>

#include <algorithm>

#include "launch/bench_found.h"
#include "parallel/rank/errors.h"
#include "runtime/roll_call.h"

namespace flux {
namespace {

using Json = nlohmann::ordered_json;

/// One size as this rank saw it. The bus carries what a rank gets from the others.
Json row(const GatherTimes& times, const RankPlace& place, int ranks) {
  const double gb_per_s = static_cast<double>(times.bytes) / times.milliseconds.median / 1e6;
  Json result{{"gathered", times.what}, {"bytes", times.bytes}, {"carrier", times.carrier}};
  result.update(as_json(times.milliseconds));
  result["algorithm_gb_per_s"] = gb_per_s;
  result["bus_gb_per_s"] = gb_per_s * (ranks - 1) / ranks;
  result.update(measured_by(place));
  return result;
}

Json rows_of_rank(const std::vector<GatherTimes>& sizes, const RankPlace& place, int ranks) {
  const Json state = state_of_card(place);
  Json rows = Json::array();
  for (const GatherTimes& times : sizes) {
    rows.push_back(row(times, place, ranks));
    rows.back().update(state);
  }
  return rows;
}

/// Of each size what the rank says that took longest.
std::vector<Json> slowest(const std::vector<std::string>& by_rank) {
  std::vector<Json> result;
  for (const std::string& text : by_rank) {
    const Json rows = Json::parse(text);
    result.resize(rows.size());
    for (size_t size = 0; size < rows.size(); ++size)
      if (result[size].is_null() || result[size]["median_ms"] < rows[size]["median_ms"]) result[size] = rows[size];
  }
  return result;
}

std::string gather_text(const Json& row) {
  constexpr double mib = 1 << 20;
  return fmt::format("{:>9.3f} MiB  {:.3f} ms ({:.3f} ... {:.3f}, sd {:.3f})  {:.2f} GB/s, bus {:.2f}  {}, {}\n",
                     row["bytes"].get<double>() / mib, row["median_ms"].get<double>(), row["p5_ms"].get<double>(),
                     row["p95_ms"].get<double>(), row["sd_ms"].get<double>(), row["algorithm_gb_per_s"].get<double>(),
                     row["bus_gb_per_s"].get<double>(), row["gathered"].get<std::string>(),
                     row["carrier"].get<std::string>());
}

}  // namespace

Found found_of_comm(const Subject& subject, const Placement& placement, World& world) {
  if (world.size() < 2)
    throw Invalid(
        "bench comm: one rank has nobody to gather from; start two or more: mpirun -n 2 flux-dist bench comm");
  const std::vector<GatherTimes> sizes =
      measure_gathers(subject.checkpoint.folder.transformer, placement, world, subject.picture,
                      subject.options.max_sequence_length, subject.options.repetitions);
  const RankPlace& place = placement.ranks[static_cast<size_t>(world.rank())];
  Found found{
      heading(subject, placement), slowest(world.exchange(rows_of_rank(sizes, place, world.size()).dump())), {}, {}};
  found.heading["world_size"] = world.size();
  found.whole = found.heading;
  found.whole["gathers"] = found.rows;
  found.text = fmt::format("all_gather between {} ranks over {}, the slowest rank's\n", world.size(),
                           found.heading["transport"].get<std::string>());
  for (const Json& row : found.rows) found.text += gather_text(row);
  return found;
}

}  // namespace flux
