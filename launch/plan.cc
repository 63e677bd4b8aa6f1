#include "runtime/plan.h"

#include <fmt/format.h>

#include <iostream>
#include <set>
#include <string_view>

#include "launch/verbs.h"
#include "parallel/rank/errors.h"
#include "runtime/arrangements.h"
#include "runtime/bench/simulation.h"
#include "runtime/fit.h"
#include "runtime/options/convert.h"
#include "runtime/options/option.h"
#include "runtime/source/model_defaults.h"
#include "runtime/source/picture_size.h"
#include "runtime/warn.h"

namespace flux {
namespace {

const std::set<std::string_view> kOfSimulations = {"simulate", "ranks",     "encoders",
                                                   "json",     "log_level", "print_config"};

constexpr int capability = 89;  // of the cards that are assumed: of those with 16 GB, what has all formats

/// Cards of these sizes.
RankFacts assumed_host(const std::vector<int>& cards) {
  RankFacts facts{.host = "host", .process = 0, .cores = 1, .cards = {}};
  for (size_t i = 0; i < cards.size(); ++i) {
    facts.cards.push_back({.index = static_cast<int>(i),
                           .uuid = fmt::format("card {}", i),
                           .name = "",
                           .capability = capability,
                           .total_bytes = int64_t{cards[i]} << 30});
  }
  return facts;
}

/// One size stands for a card of each rank; several are all the cards there are, dealt as generate does.
std::vector<RankFacts> assumed_ranks(const PlanOptions& options, DeviceChoice device) {
  const int ranks = options.ranks.value_or(1);
  std::vector<int> cards = options.cards;
  if (cards.empty() && device == DeviceChoice::cuda) cards = {0};
  if (cards.size() == 1) cards.resize(static_cast<size_t>(ranks), cards.front());
  RankFacts host = assumed_host(cards);
  host.cores = ranks;
  std::vector<RankFacts> world(static_cast<size_t>(ranks), host);
  for (int rank = 0; rank < ranks; ++rank) world[static_cast<size_t>(rank)].process = rank;
  return world;
}

void print_plan(const ModelFolder& folder, const PlanOptions& options, const PlacementOptions& placing,
                PlanRequest request, bool json) {
  const std::vector<RankFacts> ranks = assumed_ranks(options, placing.device);
  request.card_memory = card_memory(ranks, placing.memory_limit);
  const Workload one{
      {request.picture.tokens(), options.max_sequence_length}, 1, static_cast<double>(options.num_inference_steps)};
  const Plan made = settle(placements(placing, 0, ranks, one), folder, placing, request);
  std::cout << (json ? as_json(made) : as_text(made)) << std::flush;
}

void print_arrangements(const ModelFolder& folder, const PlanOptions& options, const PlacementOptions& placing,
                        PlanRequest request, bool json) {
  if (!placing.replicas.empty() || placing.ranks_per_replica || !placing.shares.empty())
    throw Invalid("--replicas, --ranks-per-replica and --shares want --ranks: without it, plan tells what fits");
  const RankFacts host = assumed_host(options.cards);
  request.card_memory = card_memory({host}, placing.memory_limit);
  const std::vector<Plan> found = arrangements(folder, placing, host, request);
  std::cout << (json ? as_json(found) : as_text(found)) << std::flush;
}

void print_simulation(const Settings& settings) {
  for (const Option& option : all_options())
    if (settings.origin(option.name) == option.flag && !kOfSimulations.contains(option.name))
      throw Invalid(option.flag + ": a simulation is of what was measured; leave it out, or --simulate");
  const PlanOptions options = plan_options(settings);
  MeasuredStages measured = read_stages(options.simulate);
  if (settings.has("encoders")) measured.encoders = *placement_options(settings).encoders;
  const std::vector<SimulatedRun> runs = simulate(measured, options.ranks);
  std::cout << (operation_options(settings).json ? simulation_json(runs) : simulation_table(runs)) << std::flush;
}

}  // namespace

int plan(Settings settings) {
  if (settings.has("simulate")) {
    print_simulation(settings);
    return 0;
  }
  const ModelFolder folder(model_path(settings));
  add_model_defaults(settings, folder);
  const PlanOptions options = plan_options(settings);
  PlacementOptions placing = placement_options(settings);
  placing.formats = with_stored_formats(placing.formats, folder);
  if (placing.device == DeviceChoice::cpu && !options.cards.empty())
    throw Invalid("--cards: --device cpu uses no cards; leave one of them out");
  const PlanRequest request{.picture = drawn_picture(settings, folder.vae.token_side(), log_warning),
                            .num_inference_steps = options.num_inference_steps,
                            .sigmas = options.sigmas,
                            .max_sequence_length = options.max_sequence_length,
                            .card_memory = {}};
  const bool json = operation_options(settings).json, search = !options.ranks && !options.cards.empty();
  (search ? print_arrangements : print_plan)(folder, options, placing, request, json);
  return 0;
}

}  // namespace flux
