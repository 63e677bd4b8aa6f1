#include "runtime/fit.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "parallel/rank/errors.h"

namespace flux {
namespace {

/// More than most ask for: a table of modulation is kept for every step of a picture.
constexpr int64_t kSteps = 50;

std::string gib(int64_t bytes) { return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (1 << 30)); }

/// The smallest change that helps.
std::string advice(const Placement& placement, const ModelFolder& folder, const PlacementOptions& asked,
                   const PlanRequest& request) {
  FormatChoices choices = asked.formats;
  choices.transformer = Format::int8;
  const Formats int8 = choices.resolved(Format::int8);
  const auto fits = [&](const Demand& demand, Residency residency) {
    Placement changed = placement;
    changed.formats = int8;
    changed.encoder_residency = residency;
    changed.demand = demand;
    return make_plan(folder, changed, request).fits();
  };
  const bool is_int8 = placement.formats == int8;
  if (!is_int8 && fits(placement.demand, placement.encoder_residency)) return "give --quantize int8";
  if (fits(placement.demand, Residency::streamed))
    return std::string("give ") + (is_int8 ? "" : "--quantize int8 and ") + "--encoder-residency streamed";
  const auto int8_fits = [&](const Demand& demand) { return fits(demand, placement.encoder_residency); };
  const int64_t token_side = folder.vae.token_side();
  for (const int64_t side : {1024, 768, 512, 256}) {
    const Demand smaller{(side / token_side) * (side / token_side), placement.demand.text_tokens};
    if (smaller.image_tokens < placement.demand.image_tokens && int8_fits(smaller))
      return fmt::format("give {}pictures of at most {} x {} pixels", is_int8 ? "" : "--quantize int8 and ", side,
                         side);
  }
  return "give each replica more ranks and cards (flux-dist plan tells what fits)";
}

[[noreturn]] void refuse(const Plan& plan, const std::string& limit, const std::string& what_to_do) {
  const auto lacks = [](const auto& card) { return card.second.fits() ? 0 : card.second.needed - card.second.memory; };
  const auto& [name, card] = *std::ranges::max_element(plan.cards, {}, lacks);
  const RankPlace& place = plan.placement.ranks[card.ranks.front()];
  throw Invalid(fmt::format("rank{} {} on {} would take {} of the {} of {}{}: {}", card.ranks.size() > 1 ? "s" : "",
                            fmt::join(card.ranks, ", "), place.host, gib(card.needed), gib(card.memory),
                            place.card_name.empty() ? name : place.card_name, limit, what_to_do));
}

}  // namespace

std::map<std::string, int64_t> card_memory(const std::vector<RankFacts>& facts, int64_t limit) {
  std::map<std::string, int64_t> memory;
  for (const RankFacts& rank : facts)
    for (const Card& card : rank.cards)
      memory[card.uuid] = limit == 0 || (card.total_bytes > 0 && card.total_bytes < limit) ? card.total_bytes : limit;
  return memory;
}

Plan settle(Placement& placement, const ModelFolder& folder, const PlacementOptions& options,
            const PlanRequest& request) {
  using enum Residency;
  Plan plan;
  for (const auto& [format, residency] :
       {std::pair(Format::dense, resident), std::pair(Format::int8, resident), std::pair(Format::int8, streamed)}) {
    placement.formats = options.formats.resolved(format);
    placement.encoder_residency = options.encoder_residency.value_or(residency);
    plan = make_plan(folder, placement, request);
    if (plan.fits()) break;
  }
  return plan;
}

void fit_to_cards(Placement& placement, const ModelFolder& folder, const PlacementOptions& options,
                  const std::vector<RankFacts>& facts) {
  if (std::ranges::all_of(placement.ranks, [](const RankPlace& place) { return place.card.empty(); })) return;
  const PlanRequest request{.picture = {},
                            .num_inference_steps = kSteps,
                            .max_sequence_length = placement.demand.text_tokens,
                            .card_memory = card_memory(facts, options.memory_limit)};
  const Plan plan = settle(placement, folder, options, request);
  if (!plan.fits())
    refuse(plan, options.memory_limit > 0 ? " (--memory-limit)" : "", advice(placement, folder, options, request));
  if (options.memory_limit == 0) return;
  for (const auto& [name, card] : plan.cards)
    for (const int rank : card.ranks)
      placement.ranks[rank].memory = plan.ranks[rank].total() - plan.ranks[rank].outside +
                                     (card.memory - card.needed) / static_cast<int64_t>(card.ranks.size());
}

}  // namespace flux
