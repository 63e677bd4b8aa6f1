#include "runtime/plan.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <iostream>

#include "launch/verbs.h"
#include "parallel/rank/errors.h"
#include "runtime/fit.h"
#include "runtime/options/convert.h"
#include "runtime/source/model_defaults.h"
#include "runtime/source/picture_size.h"

namespace flux {
namespace {

constexpr int oldest_with_bf16 = 80;  // compute capability of the cards that are assumed

/// One size stands for a card of each rank; several are all the cards there are, dealt as generate does.
std::vector<int64_t> card_sizes(const PlanOptions& options, DeviceChoice device) {
  if (device == DeviceChoice::cpu && !options.card_gib.empty())
    throw Invalid("--card-gib: --device cpu uses no cards; leave one of them out");
  if (device == DeviceChoice::cpu) return {};
  const auto ranks = static_cast<size_t>(options.ranks);
  if (options.card_gib.empty()) return std::vector<int64_t>(device == DeviceChoice::cuda ? ranks : 0, 0);
  if (options.card_gib.size() == 1) return std::vector<int64_t>(ranks, options.card_gib.front());
  return {options.card_gib.begin(), options.card_gib.end()};
}

std::vector<RankFacts> assumed_ranks(int ranks, const std::vector<int64_t>& card_gib) {
  RankFacts facts{.host = "host", .process = 0, .cores = ranks, .cards = {}};
  for (size_t i = 0; i < card_gib.size(); ++i) {
    facts.cards.push_back({.index = static_cast<int>(i),
                           .uuid = fmt::format("card {}", i),
                           .name = "",
                           .capability = oldest_with_bf16,
                           .total_bytes = card_gib[i] << 30});
  }
  std::vector<RankFacts> world(static_cast<size_t>(ranks), facts);
  for (int rank = 0; rank < ranks; ++rank) world[static_cast<size_t>(rank)].process = rank;
  return world;
}

}  // namespace

int plan(Settings settings) {
  const ModelFolder folder(model_path(settings));
  add_model_defaults(settings, folder);
  const PlanOptions options = plan_options(settings);
  PlacementOptions placing = placement_options(settings);
  placing.formats = with_stored_formats(placing.formats, folder);
  PlanRequest request{.picture = drawn_picture(settings, folder.vae.token_side(),
                                               [](const std::string& text) { spdlog::warn("{}", text); }),
                      .num_inference_steps = options.num_inference_steps,
                      .sigmas = options.sigmas,
                      .max_sequence_length = options.max_sequence_length,
                      .card_memory = {}};
  const std::vector<int64_t> sizes = card_sizes(options, placing.device);
  const std::vector<RankFacts> ranks = assumed_ranks(options.ranks, sizes);
  request.card_memory = card_memory(ranks, placing.memory_limit);
  Placement placement = place(placing, 0, ranks, {request.picture.tokens(), options.max_sequence_length});
  const Plan made = settle_formats(placement, folder, placing.formats, request);
  std::cout << (operation_options(settings).json ? as_json(made) : as_text(made)) << std::flush;
  return 0;
}

}  // namespace flux
