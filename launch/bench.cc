// Times what a run consists of, each beside the least that the card could take for it.

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include <iostream>
#include <optional>
#include <utility>

#include "launch/say.h"
#include "launch/verbs.h"
#include "model/checkpoint/checkpoint.h"
#include "model/dtype_name.h"
#include "model/full_precision.h"
#include "parallel/rank/errors.h"
#include "runtime/bench_decode.h"
#include "runtime/bench_step.h"
#include "runtime/fit.h"
#include "runtime/options/convert.h"
#include "runtime/rank_facts.h"
#include "runtime/roll_call.h"
#include "runtime/source/model_defaults.h"
#include "runtime/source/picture_size.h"
#include "runtime/version.h"

namespace flux {
namespace {

using Json = nlohmann::ordered_json;

/// What is measured, the same on every rank.
struct Subject {
  Checkpoint checkpoint;
  Picture picture;
  BenchOptions options;
};

Subject subject_of(Settings& settings) {
  const ModelFolder folder(model_path(settings));
  add_model_defaults(settings, folder);
  const BenchOptions options = bench_options(settings);
  const Picture picture =
      drawn_picture(settings, folder.vae.token_side(), [](const std::string& text) { spdlog::warn("{}", text); });
  return {options.random_weights ? random_weights(folder, 1) : published(folder), picture, options};
}

Json as_json(const Spread& milliseconds) {
  return {{"median_ms", milliseconds.median},
          {"p5_ms", milliseconds.p5},
          {"p95_ms", milliseconds.p95},
          {"sd_ms", milliseconds.deviation}};
}

std::string as_text(const Json& milliseconds) {
  return fmt::format("{:.2f} ms ({:.2f} ... {:.2f}, sd {:.2f})", milliseconds["median_ms"].get<double>(),
                     milliseconds["p5_ms"].get<double>(), milliseconds["p95_ms"].get<double>(),
                     milliseconds["sd_ms"].get<double>());
}

/// One rank's part of a step.
Json row(const RankPlace& place, const StepTimes& times) {
  return {{"rank", place.rank},
          {"host", place.host},
          {"card", place.card_name},
          {"rows", times.rows},
          {"step", as_json(times.milliseconds)},
          {"floor_ms", times.floor},
          {"floor_products", times.floor_products == FloorProducts::fp8 ? "fp8" : "dense"},
          {"of_floor", times.milliseconds.median / times.floor},
          {"tflops", times.tera_flop / times.milliseconds.median * 1e3},
          {"launch_ms", times.launch},
          {"weights_bytes", times.weights},
          {"buffers_bytes", times.buffers},
          {"workspace_bytes", times.workspace}};
}

std::string bytes_text(const Json& of) {
  constexpr double gib = 1 << 30;
  std::string text = fmt::format("{:.2f} GiB of weights, {:.2f} of buffers", of["weights_bytes"].get<double>() / gib,
                                 of["buffers_bytes"].get<double>() / gib);
  if (of.contains("workspace_bytes"))
    text += fmt::format(", {:.2f} of workspace", of["workspace_bytes"].get<double>() / gib);
  return text;
}

std::string step_text(const Json& rank) {
  return fmt::format(
      "rank {:<3} {} {}  {} rows: {} a step, {:.3f} x the {} floor of {:.2f} ms, {:.0f} TFLOP/s; {:.2f} ms to "
      "launch; "
      "{}\n",
      rank["rank"].get<int>(), rank["host"].get<std::string>(), rank["card"].get<std::string>(),
      rank["rows"].get<int64_t>(), as_text(rank["step"]), rank["of_floor"].get<double>(),
      rank["floor_products"].get<std::string>(), rank["floor_ms"].get<double>(), rank["tflops"].get<double>(),
      rank["launch_ms"].get<double>(), bytes_text(rank));
}

/// What was measured, and with what.
Json heading(const Subject& subject, const Placement& placement) {
  const Versions& known = versions();
  return {{"program", known.program},
          {"revision", known.revision},
          {"torch", known.libraries.torch},
          {"cuda", known.libraries.cuda},
          {"nccl", known.libraries.nccl},
          {"driver", known.driver},
          {"height", subject.picture.height},
          {"width", subject.picture.width},
          {"text_tokens", subject.options.max_sequence_length},
          {"dtype", dtype_name(placement.dtype)},
          {"quantize", as_text(placement.formats)},
          {"transport", transport_name(placement.replicas.front().transport)},
          {"repetitions", subject.options.repetitions},
          {"random_weights", subject.options.random_weights}};
}

std::string as_text(const Json& heading, const char* what) {
  return fmt::format("{} of {} x {} pixels and {} text tokens in {}, quantized: {}, over {}\n", what,
                     heading["width"].get<int64_t>(), heading["height"].get<int64_t>(),
                     heading["text_tokens"].get<int64_t>(), heading["dtype"].get<std::string>(),
                     heading["quantize"].get<std::string>(), heading["transport"].get<std::string>());
}

void bench_step(const Subject& subject, const Placement& placement, World& world, bool json) {
  const StepTimes times = measure_step(subject.checkpoint, placement, world, subject.picture,
                                       subject.options.max_sequence_length, subject.options.repetitions);
  together(world, [&] {
    if (!times.output_is_finite)
      throw Invalid("the latents are not finite: damaged weights, or a --dtype too narrow for them");
  });
  Json result = heading(subject, placement);
  for (const std::string& text : world.exchange(row(placement.ranks[world.rank()], times).dump()))
    result["ranks"].push_back(Json::parse(text));
  if (world.rank() != 0) return;
  if (json) {
    std::cout << result.dump(2) << std::endl;
    return;
  }
  std::cout << as_text(result, "a step");
  for (const Json& rank : result["ranks"]) std::cout << step_text(rank);
  std::cout << std::flush;
}

/// Rank 0's; the others wait.
void bench_decode(const Subject& subject, const Placement& placement, World& world, bool json) {
  together(world, [&] {
    if (world.rank() != 0) return;
    Json result = heading(subject, placement);
    result["card"] = placement.ranks.front().card_name;
    const DecodeTimes times = measure_decode(subject.checkpoint, placement.ranks.front(), placement.dtype,
                                             subject.picture, subject.options.repetitions);
    result["decode"] = as_json(times.milliseconds);
    result["weights_bytes"] = times.weights;
    result["buffers_bytes"] = times.buffers;
    if (json) {
      std::cout << result.dump(2) << std::endl;
      return;
    }
    std::cout << as_text(result, "a decoding")
              << fmt::format("rank 0   {} {}: {}; {}", placement.ranks.front().host, placement.ranks.front().card_name,
                             as_text(result["decode"]), bytes_text(result))
              << std::endl;
  });
}

}  // namespace

int bench(Settings settings, World& world, Departure& departure) {
  if (settings.text("measure") == "throughput") return bench_throughput(std::move(settings), world, departure);
  const OperationOptions operation = operation_options(settings);
  std::optional<Subject> subject;
  Hello mine;
  together(world, [&] {
    start_logging(operation, world.rank());
    subject.emplace(subject_of(settings));
    mine.facts = rank_facts(placement_options(settings).device);
  });
  std::vector<RankFacts> facts;
  for (const Hello& hello : introduce(world, mine)) facts.push_back(hello.facts);
  Placement placement;
  together(world, [&] {
    PlacementOptions placing = placement_options(settings);
    placing.formats = with_stored_formats(placing.formats, subject->checkpoint.folder);
    placement = place_one_replica(placing, operation.threads, facts,
                                  {subject->picture.tokens(), subject->options.max_sequence_length});
  });
  demand_full_precision();
  if (subject->options.measure == Measure::step)
    bench_step(*subject, placement, world, operation.json);
  else
    bench_decode(*subject, placement, world, operation.json);
  return 0;
}

}  // namespace flux
