// A denoising step of every rank, beside the least that its card could take for it.

#include "runtime/bench_step.h"

#include <fmt/format.h>

#include <filesystem>

#include "launch/bench_found.h"
#include "parallel/rank/errors.h"
#include "runtime/exchange.h"
#include "runtime/roll_call.h"
#include "runtime/sink/new_file.h"

namespace flux {
namespace {

using Json = nlohmann::ordered_json;

/// One rank's part of a step.
Json row(const RankPlace& place, const StepTimes& times, const BenchOptions& options) {
  Json result = measured_by(place);
  result.update(Json{{"rows", times.rows},
                     {"step", as_json(times.milliseconds)},
                     {"floor_ms", times.floor},
                     {"floor_products", times.floor_products == FloorProducts::fp8 ? "fp8" : "dense"},
                     {"of_floor", times.milliseconds.median / times.floor},
                     {"tflops", times.tera_flop / times.milliseconds.median * 1e3},
                     {"launch_ms", times.launch},
                     {"attention", times.attention},
                     {"output_rms", times.output_rms},
                     {"weights_bytes", times.weights},
                     {"buffers_bytes", times.buffers},
                     {"workspace_bytes", times.workspace}});
  if (!options.random_weights) {  // which are not read
    result["load_ms"] = times.load;
    result["read_bytes"] = times.read;
    result["read_gb_per_s"] = static_cast<double>(times.read) / times.load / 1e6;
  }
  if (times.host_waits) {
    result["host_waits"] = *times.host_waits;
    result["steps"] = times.steps;
    result["steps_replayed"] = times.replayed;
  }
  if (times.allocations) result["device_allocations"] = *times.allocations;
  if (const Gathering gathers = gathering(times.trace); gathers.total > 0) {
    result["gather_ms"] = gathers.total / 1e3 / kTracedSteps;
    result["gather_exposed_ms"] = gathers.exposed / 1e3 / kTracedSteps;
    result["gather_exposed_percent"] = 100 * gathers.exposed / gathers.total;
  }
  result.update(state_of_card(place));
  return result;
}

std::string load_text(const Json& rank) {
  if (!rank.contains("load_ms")) return "";
  return fmt::format("; loaded in {:.2f} s, {:.2f} GB/s", rank["load_ms"].get<double>() / 1e3,
                     rank["read_gb_per_s"].get<double>());
}

/// What a step should have none of.
std::string interruptions_text(const Json& rank) {
  if (!rank.contains("host_waits")) return "";
  return fmt::format(
      "; attention by {}; {} of {} steps replayed, {} waits of the host and {} allocations in those timed",
      rank["attention"].get<std::string>(), rank["steps_replayed"].get<int64_t>(), rank["steps"].get<int64_t>(),
      rank["host_waits"].get<int64_t>(), rank["device_allocations"].get<int64_t>());
}

std::string gathers_text(const Json& rank) {
  if (!rank.contains("gather_ms")) return "";
  return fmt::format("; gathers {:.2f} ms, {:.0f} % of it exposed", rank["gather_ms"].get<double>(),
                     rank["gather_exposed_percent"].get<double>());
}

Json as_json(const std::vector<TraceEvent>& events) {
  Json all = Json::array();
  for (const TraceEvent& event : events) all.push_back({event.name, event.lane, event.begin, event.length});
  return all;
}

std::vector<TraceEvent> events_of(const Json& all) {
  std::vector<TraceEvent> events;
  for (const Json& event : all) events.push_back({event[0], event[1], event[2], event[3]});
  return events;
}

/// Of all ranks, by rank 0.
void write_trace(const std::string& file, const Placement& placement, World& world, const StepTimes& times) {
  const std::vector<std::string> texts = world.exchange(as_json(times.trace).dump());
  together(world, [&] {
    if (world.rank() != 0) return;
    std::vector<RankTrace> ranks;
    for (const RankPlace& place : placement.ranks)
      ranks.emplace_back(fmt::format("rank {} {} {}", place.rank, place.host, place.card_name),
                         events_of(Json::parse(texts[ranks.size()])));
    write_new_file(std::filesystem::absolute(file), chrome_trace(ranks));
  });
}

std::string rank_text(const Json& rank) {
  return fmt::format(
      "rank {:<3} {} {}  {} rows: {} a step, {:.3f} x the {} floor of {:.2f} ms, {:.0f} TFLOP/s; {:.2f} ms to "
      "launch; {}{}{}{}{}\n",
      rank["rank"].get<int>(), rank["host"].get<std::string>(), rank["card"].get<std::string>(),
      rank["rows"].get<int64_t>(), spread_text(rank["step"]), rank["of_floor"].get<double>(),
      rank["floor_products"].get<std::string>(), rank["floor_ms"].get<double>(), rank["tflops"].get<double>(),
      rank["launch_ms"].get<double>(), bytes_text(rank), load_text(rank), interruptions_text(rank), gathers_text(rank),
      state_text(rank));
}

}  // namespace

Found found_of_step(const Subject& subject, const Placement& placement, World& world) {
  const BenchOptions& options = subject.options;
  const StepTimes times = measure_step(subject.checkpoint, placement, world,
                                       {subject.picture, options.max_sequence_length, options.repetitions,
                                        /*trace=*/!options.trace.empty(), options.serialized});
  together(world, [&] {
    if (!times.output_is_finite)
      throw Invalid("the latents are not finite: damaged weights, or a --dtype too narrow for them");
  });
  if (!options.trace.empty()) write_trace(options.trace, placement, world, times);
  Found found{heading(subject, placement), {}, {}, {}};
  found.heading["serialized"] = options.serialized;
  found.heading["context_parallel"] = context_parallel_name(
      exchange_of(placement, placement.replicas.front(), subject.checkpoint.folder.transformer).context);
  found.whole = found.heading;
  found.text = heading_text(found.heading, "a step");
  if (world.size() > 1)
    found.text += fmt::format("attention is shared by {}{}\n", found.heading["context_parallel"].get<std::string>(),
                              options.serialized ? ", and nothing hides what travels" : "");
  for (const std::string& text : world.exchange(row(placement.ranks[world.rank()], times, subject.options).dump())) {
    const Json rank = Json::parse(text);
    found.whole["ranks"].push_back(rank);
    found.rows.push_back(level(rank));
    found.text += rank_text(rank);
  }
  return found;
}

}  // namespace flux
