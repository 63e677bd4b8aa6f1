#include "runtime/arrangements.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>
#include <set>
#include <tuple>

#include "parallel/rank/errors.h"

namespace flux {
namespace {

/// Others only where they are asked for.
std::vector<Format> formats_of(const FormatChoices& asked) {
  if (asked.transformer) return {*asked.transformer};
  return {Format::dense, Format::int8, Format::nf4};
}

size_t drawing_cards(const Plan& plan) {
  std::set<std::string> cards;
  for (const RankPlace& place : plan.placement.ranks)
    if (place.replica >= 0) cards.insert(place.card);
  return cards.size();
}

const CardBytes& fullest(const Plan& plan) {
  return std::ranges::max_element(plan.cards, {},
                                  [](const auto& card) {
                                    return static_cast<double>(card.second.needed) /
                                           static_cast<double>(std::max<int64_t>(1, card.second.memory));
                                  })
      ->second;
}

std::string flags(const Plan& plan) {
  const Placement& placement = plan.placement;
  const Formats& formats = placement.formats;
  FormatChoices given{.transformer = formats.transformer};
  const Format text_by_default = given.resolved(formats.transformer).text_encoder;
  given.text_encoder = formats.text_encoder;
  const Format modulation_by_default = given.resolved(formats.transformer).modulation;
  std::string text = fmt::format("-n {}", placement.ranks.size());
  const auto add = [&](bool needed, const char* flag, const auto& value) {
    if (needed) text += fmt::format(" {} {}", flag, value);
  };
  add(placement.encoders().size() > 1, "--encoders", placement.encoders().size());
  add(!placement.ranks.front().decodes, "--decode", "replica");
  const bool could_be_more = placement.replicas.size() > 1 || placement.replicas.front().ranks.size() > 1;
  add(could_be_more, "--replicas", placement.replicas.size());
  add(formats != Formats{}, "--quantize", format_name(formats.transformer));
  add(formats.text_encoder != text_by_default, "--quantize-text-encoder", format_name(formats.text_encoder));
  add(formats.modulation != modulation_by_default, "--quantize-modulation", format_name(formats.modulation));
  add(formats.exchange != Format::dense, "--exchange", format_name(formats.exchange));
  add(formats.attention != Format::dense, "--quantize-attention", format_name(formats.attention));
  add(placement.encoder_residency == Residency::streamed, "--encoder-residency", "streamed");
  return text;
}

/// In a format, resident if that fits, else streamed.
std::optional<Plan> fitting(Placement placement, const ModelFolder& folder, const PlacementOptions& options,
                            const PlanRequest& request) {
  for (const Residency residency : {Residency::resident, Residency::streamed}) {
    placement.encoder_residency = options.encoder_residency.value_or(residency);
    if (Plan plan = make_plan(folder, placement, request); plan.fits()) return plan;
  }
  return std::nullopt;
}

}  // namespace

std::vector<Plan> arrangements(const ModelFolder& folder, const PlacementOptions& options, const RankFacts& host,
                               const PlanRequest& request) {
  const Demand demand{request.picture.tokens(), request.max_sequence_length};
  const std::vector<Format> formats = formats_of(options.formats);
  std::vector<Plan> found;
  const auto apart = static_cast<size_t>(options.encoders.value_or(1));
  for (size_t ranks = apart == 1 ? 1 : apart + 1; ranks <= host.cards.size() + apart; ++ranks) {
    std::vector<RankFacts> world(ranks, host);
    for (size_t rank = 0; rank < ranks; ++rank) world[rank].process = static_cast<int64_t>(rank);
    for (size_t replicas = 1; replicas == 1 || replicas <= ranks - apart; ++replicas) {
      if (replicas > 1 && (ranks - apart) % replicas != 0) continue;
      PlacementOptions asked = options;
      asked.replicas = {static_cast<int>(replicas)};
      Placement placement = place(asked, 0, world, demand);
      for (const Format format : formats) {
        placement.formats = options.formats.resolved(format);
        if (auto plan = fitting(placement, folder, options, request)) found.push_back(std::move(*plan));
      }
    }
  }
  std::ranges::stable_sort(found, {}, [&](const Plan& plan) {
    const auto cards = static_cast<int64_t>(drawing_cards(plan));
    const auto replicas = static_cast<int64_t>(plan.placement.replicas.size());
    return std::tuple(-cards, plan.placement.formats.transformer,
                      options.optimize == Optimize::latency ? replicas : -replicas);
  });
  return found;
}

std::string as_text(const std::vector<Plan>& arrangements) {
  if (arrangements.empty()) return "nothing fits: give more cards, smaller pictures, or --quantize int8\n";
  std::string text =
      "cards\tranks a replica\tquantized\tencoders\tfullest card, GiB\tof\tpinned on the host, GiB\toptions\n";
  const auto gib = [](int64_t bytes) { return static_cast<double>(bytes) / (1 << 30); };
  for (const Plan& plan : arrangements) {
    const CardBytes& card = fullest(plan);
    text += fmt::format("{}\t{}\t{}\t{}\t{:.1f}\t{:.1f}\t{:.1f}\t{}\n", drawing_cards(plan),
                        plan.placement.replicas.front().ranks.size(), as_text(plan.placement.formats),
                        plan.placement.encoder_residency == Residency::streamed ? "streamed" : "resident",
                        gib(card.needed), gib(card.memory), gib(plan.ranks.front().host), flags(plan));
  }
  return text;
}

std::string as_json(const std::vector<Plan>& arrangements) {
  auto json = nlohmann::ordered_json::array();
  for (const Plan& plan : arrangements) {
    auto one = nlohmann::ordered_json::parse(as_json(plan));
    one["options"] = flags(plan);
    json.push_back(one);
  }
  return json.dump(2) + "\n";
}

}  // namespace flux
