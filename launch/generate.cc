#include "runtime/generate.h"

#include <spdlog/spdlog.h>

#include <iostream>
#include <memory>

#include "launch/say.h"
#include "launch/verbs.h"
#include "runtime/infotext.h"
#include "runtime/options/convert.h"
#include "runtime/roll_call.h"
#include "runtime/source/model_defaults.h"
#include "runtime/source/source.h"
#include "runtime/warn.h"

namespace flux {
namespace {

/// The prompts are read by rank 0 alone: only it has standard input.
GenerateRequest request_of(Settings& settings, int rank, Departure& departure) {
  GenerateRequest request{.folder = ModelFolder(model_path(settings)),
                          .model = "",
                          .placement = placement_options(settings),
                          .operation = operation_options(settings),
                          .output = nullptr,
                          .source = nullptr};
  request.model = model_name(request.folder.path);
  start_logging(request.operation, rank);
  if (rank != 0) return request;
  const OutputOptions output = output_options(settings);
  request.output = std::make_unique<OutputFolder>(output);
  departure.on_leaving(request.output->last_act());
  request.allow_changes = output.allow_changes;
  const PastRun* past = request.output->past();
  const bool seeded = settings.has("seed");
  if (past != nullptr && past->seed())
    settings.set_default("seed", std::to_string(*past->seed()), "of the run that is resumed");
  add_model_defaults(settings, request.folder);
  add_noise_defaults(settings, request.folder);
  request.seed = run_seed(settings);
  request.source = open_source(settings, request.folder, std::cin, log_warning, past);
  if (!seeded) spdlog::info("seed {}", settings.text("seed"));
  return request;
}

}  // namespace

int generate(Settings settings, World& world, Departure& departure) {
  std::unique_ptr<GenerateRequest> request;
  together(world, [&] { request = std::make_unique<GenerateRequest>(request_of(settings, world.rank(), departure)); });
  return run_generate(*request, world, departure);
}

}  // namespace flux
