// Times what a run consists of, each beside the least that the card could take for it.

#include <iostream>
#include <optional>
#include <stdexcept>
#include <utility>

#include "launch/bench_found.h"
#include "launch/say.h"
#include "launch/verbs.h"
#include "model/checkpoint/checkpoint.h"
#include "model/reproducible_arithmetic.h"
#include "runtime/bench/forms.h"
#include "runtime/fit.h"
#include "runtime/options/convert.h"
#include "runtime/rank_facts.h"
#include "runtime/roll_call.h"
#include "runtime/source/model_defaults.h"
#include "runtime/source/picture_size.h"
#include "runtime/warn.h"

namespace flux {
namespace {

Subject subject_of(Settings& settings) {
  const ModelFolder folder(model_path(settings));
  add_model_defaults(settings, folder);
  const BenchOptions options = bench_options(settings);
  const Picture picture = drawn_picture(settings, folder.vae.token_side(), log_warning);
  return {options.random_weights ? random_weights(folder, 1) : published(folder), picture, options};
}

Found found(const Subject& subject, const Placement& placement, World& world) {
  switch (subject.options.measure) {
    case Measure::step:
      return found_of_step(subject, placement, world);
    case Measure::decode:
      return found_of_decode(subject, placement, world);
    case Measure::stages:
      return found_of_stages(subject, placement, world);
    case Measure::comm:
      return found_of_comm(subject, placement, world);
    case Measure::throughput:
    case Measure::compare:
      break;
  }
  throw std::logic_error("measure");
}

std::string printed(const Found& found, OutputForm form) {
  switch (form) {
    case OutputForm::text:
      return found.text;
    case OutputForm::markdown:
      return as_markdown(found.heading, found.rows);
    case OutputForm::csv:
      return as_csv(found.heading, found.rows);
    case OutputForm::json_lines:
      return as_json_lines(found.heading, found.rows);
    case OutputForm::json:
      return found.whole.dump(2) + '\n';
  }
  throw std::logic_error("output_format");
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
  demand_reproducible_arithmetic();
  const Found result = found(*subject, placement, world);
  if (world.rank() == 0) std::cout << printed(result, subject->options.form) << std::flush;
  return 0;
}

}  // namespace flux
