// Times what a run consists of, each beside the least that the card could take for it.

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include <iostream>
#include <optional>

#include "launch/say.h"
#include "launch/verbs.h"
#include "model/checkpoint/checkpoint.h"
#include "model/dtype_name.h"
#include "model/full_precision.h"
#include "parallel/rank/errors.h"
#include "runtime/bench_step.h"
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
  Picture picture = options.picture;
  picture.token_side = folder.vae.token_side();
  const auto drawn = [&](int64_t pixels, const char* option) {
    return drawn_pixels(pixels, picture.token_side, settings.origin(option),
                        [](const std::string& text) { spdlog::warn("{}", text); });
  };
  picture.height = drawn(picture.height, "height");
  picture.width = drawn(picture.width, "width");
  return {options.random_weights ? random_weights(folder, 1) : published(folder), picture, options};
}

Json row(const RankPlace& place, const StepTimes& times) {
  const Spread& step = times.milliseconds;
  return {{"rank", place.rank},
          {"host", place.host},
          {"card", place.card_name},
          {"rows", times.rows},
          {"step_ms", step.median},
          {"step_ms_p5", step.p5},
          {"step_ms_p95", step.p95},
          {"step_ms_sd", step.deviation},
          {"floor_ms", times.floor},
          {"of_floor", step.median / times.floor},
          {"tflops", times.tera_flop / step.median * 1e3},
          {"launch_ms", times.launch}};
}

std::string as_text(const Json& rank) {
  return fmt::format(
      "rank {:<3} {} {}  {} rows: {:.2f} ms a step ({:.2f} ... {:.2f}, sd {:.2f}), {:.3f} x the floor of {:.2f} ms, "
      "{:.0f} "
      "TFLOP/s; {:.2f} ms to launch\n",
      rank["rank"].get<int>(), rank["host"].get<std::string>(), rank["card"].get<std::string>(),
      rank["rows"].get<int64_t>(), rank["step_ms"].get<double>(), rank["step_ms_p5"].get<double>(),
      rank["step_ms_p95"].get<double>(), rank["step_ms_sd"].get<double>(), rank["of_floor"].get<double>(),
      rank["floor_ms"].get<double>(), rank["tflops"].get<double>(), rank["launch_ms"].get<double>());
}

void print(const std::vector<std::string>& rows, const Subject& subject, const Placement& placement, bool json) {
  constexpr std::array names = {"thread", "mpi", "nccl"};
  const std::string transport = names[static_cast<size_t>(placement.replicas.front().transport)];
  Json ranks = Json::array();
  for (const std::string& text : rows) ranks.push_back(Json::parse(text));
  if (json) {
    std::cout << Json{{"program", versions().program},
                      {"revision", versions().revision},
                      {"torch", versions().libraries.torch},
                      {"cuda", versions().libraries.cuda},
                      {"nccl", versions().libraries.nccl},
                      {"driver", versions().driver},
                      {"height", subject.picture.height},
                      {"width", subject.picture.width},
                      {"text_tokens", subject.options.max_sequence_length},
                      {"dtype", dtype_name(placement.dtype)},
                      {"transport", transport},
                      {"steps", subject.options.steps},
                      {"random_weights", subject.options.random_weights},
                      {"ranks", ranks}}
                     .dump(2)
              << std::endl;
    return;
  }
  std::cout << fmt::format("a step of {} x {} pixels and {} text tokens, {}, {} {} over {}\n", subject.picture.width,
                           subject.picture.height, subject.options.max_sequence_length, dtype_name(placement.dtype),
                           ranks.size(), ranks.size() == 1 ? "rank" : "ranks", transport);
  for (const Json& rank : ranks) std::cout << as_text(rank);
  std::cout << std::flush;
}

}  // namespace

int bench(Settings settings, World& world) {
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
    placement = place_one_replica(placement_options(settings), operation.threads, facts,
                                  {subject->picture.tokens(), subject->options.max_sequence_length});
  });
  demand_full_precision();
  const StepTimes times = measure_step(subject->checkpoint, placement, world, subject->picture,
                                       subject->options.max_sequence_length, subject->options.steps);
  together(world, [&] {
    if (!times.output_is_finite)
      throw Invalid("the latents are not finite: damaged weights, or a --dtype too narrow for them");
  });
  const std::vector<std::string> rows = world.exchange(row(placement.ranks[world.rank()], times).dump());
  if (world.rank() == 0) print(rows, *subject, placement, operation.json);
  return 0;
}

}  // namespace flux
