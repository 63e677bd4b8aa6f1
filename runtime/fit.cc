#include "runtime/fit.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "model/kernels/outlier_threshold.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

/// More than most ask for: a table of modulation is kept for every step of a picture.
constexpr int64_t kSteps = 50;

std::string gib(int64_t bytes) { return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (1 << 30)); }

/// The smallest change that helps.
std::string advice(const Placement& placement, const ModelFolder& folder, const PlacementOptions& asked,
                   const PlanRequest& request) {
  struct Way {
    std::string give;
    Formats formats;
    Residency residency;
  };
  std::vector<Way> ways;
  const auto add = [&](const std::string& give, const Formats& formats, Residency residency) {
    ways.push_back({give, formats, residency});
    if (residency == Residency::streamed) return;
    const std::string and_streamed = give + (give.empty() ? "" : " and ") + "--encoder-residency streamed";
    ways.push_back({and_streamed, formats, Residency::streamed});
  };
  add("", placement.formats, placement.encoder_residency);
  for (const Format format : {Format::int8, Format::nf4}) {
    FormatChoices choices = asked.formats;
    choices.transformer = format;
    if (!folder.transformer.quantization.any() && choices.resolved(format) != placement.formats)
      add(std::string("--quantize ") + format_name(format), choices.resolved(format), placement.encoder_residency);
  }
  const auto fits = [&](const Way& way, const Demand& demand) {
    Placement changed = placement;
    changed.formats = way.formats;
    changed.encoder_residency = way.residency;
    changed.demand = demand;
    return make_plan(folder, changed, request).fits();
  };
  for (const Way& way : ways)
    if (!way.give.empty() && fits(way, placement.demand)) return "give " + way.give;
  const int64_t token_side = folder.vae.token_side();
  for (const int64_t side : {1024, 768, 512, 256}) {
    const Demand smaller{(side / token_side) * (side / token_side), placement.demand.text_tokens,
                         placement.demand.shares};
    if (smaller.image_tokens >= placement.demand.image_tokens) continue;
    for (const Way& way : ways)
      if (fits(way, smaller))
        return fmt::format("give {}{}pictures of at most {} x {} pixels", way.give, way.give.empty() ? "" : " and ",
                           side, side);
  }
  return "give each replica more ranks and cards (flux-dist plan tells what fits)";
}

/// One part's.
std::optional<Format> followed(const std::optional<Format>& asked, std::optional<Format> stored, const char* flag,
                               const char* component) {
  if (!stored || asked == stored) return stored ? stored : asked;
  if (asked)
    throw Invalid(fmt::format(
        "{} {}: {} of this folder is quantized already, {}: leave the option out, or take the "
        "folder that is not quantized",
        flag, format_name(*asked), component,
        *stored == Format::dense ? "in part, and this part is not" : std::string("as ") + format_name(*stored)));
  return stored;
}

/// How a part is kept in its folder; 8 bits of bitsandbytes are LLM.int8's too.
std::optional<Format> stored(const Quantization& by, Format format, const std::optional<Format>& asked) {
  if (!by.any()) return std::nullopt;
  if (asked != Format::int8_outliers || by.by != Quantization::By::bitsandbytes || format != Format::int8_weights)
    return format;
  if (by.outlier_threshold != outlier_threshold)
    throw Invalid(
        fmt::format("int8-outliers: this folder's llm_int8_threshold is {}, and {} alone is computed with: give "
                    "int8-weights, which has the same codes",
                    by.outlier_threshold, outlier_threshold));
  return asked;
}

/// Bytes.
int64_t lacks(const CardBytes& card) { return card.fits() ? 0 : card.needed - card.memory; }

const std::pair<const std::string, CardBytes>& smallest_card(const Plan& plan) {
  return *std::ranges::max_element(plan.cards, {}, [](const auto& card) { return lacks(card.second); });
}

[[noreturn]] void refuse(const Plan& plan, const std::string& limit, const std::string& what_to_do) {
  const auto& [name, card] = smallest_card(plan);
  const RankPlace& place = plan.placement.ranks[card.ranks.front()];
  throw Invalid(fmt::format("rank{} {} on {} would take {} of the {} of {}{}: {}", card.ranks.size() > 1 ? "s" : "",
                            fmt::join(card.ranks, ", "), place.host, gib(card.needed), gib(card.memory),
                            place.card_name.empty() ? name : place.card_name, limit, what_to_do));
}

}  // namespace

FormatChoices with_stored_formats(const FormatChoices& asked, const ModelFolder& folder) {
  const Quantization& transformer = folder.transformer.quantization;
  const Quantization& text_encoder = folder.text_encoder_2.quantization;
  return {.transformer = followed(asked.transformer, stored(transformer, transformer.format, asked.transformer),
                                  "--quantize", "transformer"),
          .text_encoder = followed(asked.text_encoder, stored(text_encoder, text_encoder.format, asked.text_encoder),
                                   "--quantize-text-encoder", "text_encoder_2"),
          .modulation = followed(asked.modulation, stored(transformer, transformer.modulation, asked.modulation),
                                 "--quantize-modulation", "transformer"),
          .exchange = asked.exchange,
          .attention = asked.attention};
}

std::map<std::string, int64_t> card_memory(const std::vector<RankFacts>& facts, int64_t limit) {
  std::map<std::string, int64_t> memory;
  for (const RankFacts& rank : facts)
    for (const Card& card : rank.cards)
      memory[card.uuid] = limit == 0 || (card.total_bytes > 0 && card.total_bytes < limit) ? card.total_bytes : limit;
  return memory;
}

Plan settle(const std::vector<Placement>& placements, const ModelFolder& folder, const PlacementOptions& options,
            const PlanRequest& request) {
  using enum Residency;
  std::optional<Plan> least_lacking;
  for (const auto& [format, residency] :
       {std::pair(Format::dense, resident), std::pair(Format::int8, resident), std::pair(Format::int8, streamed)}) {
    for (Placement placement : placements) {
      placement.formats = options.formats.resolved(format);
      placement.encoder_residency = options.encoder_residency.value_or(residency);
      Plan plan = make_plan(folder, placement, request);
      if (plan.fits()) return plan;
      if (!least_lacking || lacks(smallest_card(plan).second) < lacks(smallest_card(*least_lacking).second))
        least_lacking = std::move(plan);
    }
  }
  return std::move(least_lacking).value();
}

Placement fit_to_cards(const std::vector<Placement>& placements, const ModelFolder& folder,
                       const PlacementOptions& options, const std::vector<RankFacts>& facts) {
  const Placement& first = placements.front();
  if (std::ranges::all_of(first.ranks, [](const RankPlace& place) { return place.card.empty(); })) return first;
  const PlanRequest request{.picture = {},
                            .num_inference_steps = kSteps,
                            .max_sequence_length = first.demand.text_tokens,
                            .card_memory = card_memory(facts, options.memory_limit)};
  const Plan plan = settle(placements, folder, options, request);
  Placement placement = plan.placement;
  if (!plan.fits())
    refuse(plan, options.memory_limit > 0 ? " (--memory-limit)" : "", advice(placement, folder, options, request));
  if (options.memory_limit == 0) return placement;
  for (const auto& [name, card] : plan.cards)
    for (const int rank : card.ranks)
      placement.ranks[rank].memory = plan.ranks[rank].total() - plan.ranks[rank].outside +
                                     (card.memory - card.needed) / static_cast<int64_t>(card.ranks.size());
  return placement;
}

}  // namespace flux
