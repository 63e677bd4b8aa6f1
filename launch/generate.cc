#include "runtime/generate.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <iostream>
#include <optional>

#include "launch/on_ranks.h"
#include "launch/say.h"
#include "launch/verbs.h"
#include "runtime/options/convert.h"
#include "runtime/source/jobs.h"

namespace flux {
namespace {

/// The prompts are read by rank 0 alone: only it has standard input.
GenerateRequest request_of(Settings& settings, int rank) {
  GenerateRequest request{.folder = ModelFolder(model_path(settings)),
                          .placement = placement_options(settings),
                          .output = output_options(settings),
                          .operation = operation_options(settings),
                          .jobs = {}};
  start_logging(request.operation, rank);
  if (rank != 0) return request;
  const bool seeded = settings.has("seed");
  add_model_defaults(settings, request.folder);
  add_noise_defaults(settings, request.folder);
  request.jobs =
      read_jobs(settings, request.folder, std::cin, [](const std::string& text) { spdlog::warn("{}", text); });
  if (!seeded) spdlog::info("seed {}", settings.text("seed"));
  return request;
}

}  // namespace

int generate(Settings settings, World& world) {
  std::optional<GenerateRequest> request;
  if (!all_fine(world, problem_of([&] { request = request_of(settings, world.rank()); }))) return 2;
  return run_generate(*request, world);
}

}  // namespace flux
