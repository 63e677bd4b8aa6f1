#include "runtime/fit.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "parallel/rank/errors.h"
#include "runtime/plan.h"

namespace flux {
namespace {

/// More than most ask for: a table of modulation is kept for every step of a picture.
constexpr int64_t kSteps = 50;

std::map<std::string, int64_t> card_memory(const std::vector<RankFacts>& facts, int64_t limit) {
  std::map<std::string, int64_t> memory;
  for (const RankFacts& rank : facts)
    for (const Card& card : rank.cards)
      memory[card.uuid] = limit == 0 || (card.total_bytes > 0 && card.total_bytes < limit) ? card.total_bytes : limit;
  return memory;
}

/// Plans of a placement, with one thing or another changed.
class Trials {
 public:
  Trials(const Placement& placement, const ModelFolder& folder, const PlacementOptions& options,
         const std::vector<RankFacts>& facts)
      : placement_(placement), folder_(folder), memory_(card_memory(facts, options.memory_limit)) {}

  Plan plan(const Formats& formats, const Demand& demand) const {
    Placement changed = placement_;
    changed.formats = formats;
    changed.demand = demand;
    const PlanRequest request{.picture = {},
                              .num_inference_steps = kSteps,
                              .max_sequence_length = demand.text_tokens,
                              .card_memory = memory_};
    return make_plan(folder_, changed, request);
  }

  bool fits(const Formats& formats, const Demand& demand) const { return !fullest(plan(formats, demand)); }

  /// The card that lacks most, if one does.
  static std::optional<std::pair<std::string, CardBytes>> fullest(const Plan& plan) {
    const auto lacks = [](const auto& card) {
      return card.second.fits() ? 0 : card.second.needed - card.second.memory;
    };
    const auto worst = std::ranges::max_element(plan.cards, {}, [&](const auto& card) { return lacks(card); });
    if (worst == plan.cards.end() || worst->second.fits()) return std::nullopt;
    return *worst;
  }

 private:
  const Placement& placement_;
  const ModelFolder& folder_;
  std::map<std::string, int64_t> memory_;
};

std::string gib(int64_t bytes) { return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (1 << 30)); }

/// The smallest change that helps.
std::string advice(const Trials& trials, const Formats& formats, const Demand& demand, int64_t token_side) {
  const Formats int8 = FormatChoices{.transformer = Format::int8}.resolved(Format::int8);
  if (formats != int8 && trials.fits(int8, demand)) return "give --quantize int8";
  for (const int64_t side : {1024, 768, 512, 256}) {
    const Demand smaller{(side / token_side) * (side / token_side), demand.text_tokens};
    if (smaller.image_tokens < demand.image_tokens && trials.fits(int8, smaller))
      return fmt::format("give {}pictures of at most {} x {} pixels", formats == int8 ? "" : "--quantize int8 and ",
                         side, side);
  }
  return "give each replica more ranks and cards (flux-dist plan tells what fits)";
}

}  // namespace

bool settle_formats(Placement& placement, const ModelFolder& folder, const PlacementOptions& options,
                    const std::vector<RankFacts>& facts) {
  if (std::ranges::all_of(placement.ranks, [](const RankPlace& place) { return place.card.empty(); })) return true;
  const Trials trials(placement, folder, options, facts);
  return std::ranges::any_of(std::array{Format::dense, Format::int8}, [&](Format format) {
    placement.formats = options.formats.resolved(format);
    return trials.fits(placement.formats, placement.demand);
  });
}

void fit_to_cards(Placement& placement, const ModelFolder& folder, const PlacementOptions& options,
                  const std::vector<RankFacts>& facts) {
  const bool fits = settle_formats(placement, folder, options, facts);
  const Trials trials(placement, folder, options, facts);
  const Plan plan = trials.plan(placement.formats, placement.demand);
  if (!fits) {
    const auto [name, card] = *Trials::fullest(plan);
    const RankPlace& place = placement.ranks[card.ranks.front()];
    throw Invalid(fmt::format("rank{} {} on {} would take {} of the {} of {}{}: {}", card.ranks.size() > 1 ? "s" : "",
                              fmt::join(card.ranks, ", "), place.host, gib(card.needed), gib(card.memory),
                              place.card_name.empty() ? name : place.card_name,
                              options.memory_limit > 0 ? " (--memory-limit)" : "",
                              advice(trials, placement.formats, placement.demand, folder.vae.token_side())));
  }
  if (options.memory_limit == 0) return;
  for (const auto& [name, card] : plan.cards)
    for (const int rank : card.ranks)
      placement.ranks[rank].memory = plan.ranks[rank].total() - plan.ranks[rank].outside +
                                     (card.memory - card.needed) / static_cast<int64_t>(card.ranks.size());
}

}  // namespace flux
