#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "model/dtype_name.h"
#include "runtime/plan.h"

namespace flux {
namespace {

using Json = nlohmann::ordered_json;

std::string in_gib(int64_t bytes) { return fmt::format("{:.3f}", static_cast<double>(bytes) / (1 << 30)); }

/// How the place's replica shares attention.
const char* context_parallel(const Plan& plan, const RankPlace& place) {
  return context_parallel_name(plan.context_parallel[static_cast<size_t>(place.replica)]);
}

std::string duties(const Plan& plan, const RankPlace& place) {
  std::vector<std::string> parts;
  if (place.encodes) parts.emplace_back("encoders");
  if (place.decodes) parts.emplace_back("VAE");
  std::string text = fmt::format("{}", fmt::join(parts, ", "));
  if (place.replica < 0) return text;
  const auto& replica = plan.placement.replicas[place.replica];
  return fmt::format("{}{}replica {}, part {} of {}{}{}", text, text.empty() ? "" : "; ", place.replica,
                     place.position + 1, replica.ranks.size(),
                     replica.ranks.size() > 1 ? fmt::format(" ({})", context_parallel(plan, place)) : "",
                     place.text ? ", text" : "");
}

Json rank_json(const Plan& plan, size_t i) {
  const RankPlace& place = plan.placement.ranks[i];
  const RankBytes& bytes = plan.ranks[i];
  Json stages = Json::array();
  if (place.encodes) stages.push_back("encoder");
  if (place.decodes) stages.push_back("decoder");
  if (place.replica >= 0) stages.push_back("denoiser");
  Json json = {
      {"rank", place.rank},           {"stages", stages},         {"replica", place.replica},
      {"position", place.position},   {"text", place.text},       {"device", place.card.empty() ? "cpu" : "cuda"},
      {"card", place.card},           {"weights", bytes.weights}, {"buffers", bytes.buffers},
      {"workspace", bytes.workspace}, {"outside", bytes.outside}, {"total", bytes.total()},
      {"pinned_on_host", bytes.host}};
  if (place.replica >= 0) json["context_parallel"] = context_parallel(plan, place);
  return json;
}

Json card_json(const CardBytes& card) {
  Json json = {{"ranks", card.ranks}, {"needed", card.needed}};
  if (card.memory > 0) {
    json["memory"] = card.memory;
    json["fits"] = card.fits();
  }
  return json;
}

}  // namespace

std::string as_text(const Plan& plan) {
  std::string text = fmt::format(
      "{} x {} pixels in {}, quantized: {}{}; GiB of each rank\n\n", plan.picture.height, plan.picture.width,
      dtype_name(plan.placement.dtype), as_text(plan.placement.formats),
      plan.placement.encoder_residency == Residency::streamed ? ", text encoder and modulation streamed" : "");
  for (size_t i = 0; i < plan.ranks.size(); ++i) {
    const RankPlace& place = plan.placement.ranks[i];
    text += fmt::format("rank {:<3} {:>9} on {}: {}\n", place.rank, in_gib(plan.ranks[i].total()),
                        place.card.empty() ? "the CPU" : place.card, duties(plan, place));
    for (const auto& [kind, bytes] : plan.ranks[i].weights) text += fmt::format("  {:>13}  {}\n", in_gib(bytes), kind);
    text += fmt::format("  {:>13}  buffers\n  {:>13}  workspace\n", in_gib(plan.ranks[i].buffers),
                        in_gib(plan.ranks[i].workspace));
    if (plan.ranks[i].host > 0)
      text += fmt::format("  (and {:>7} of the host's memory, pinned: what is streamed to the card)\n",
                          in_gib(plan.ranks[i].host));
    if (plan.ranks[i].outside > 0)
      text += fmt::format("  {:>13}  the driver, libraries and NCCL\n", in_gib(plan.ranks[i].outside));
  }
  for (const auto& [name, card] : plan.cards) {
    text += fmt::format("\n{}: ranks {} need {} GiB", name, fmt::join(card.ranks, ", "), in_gib(card.needed));
    if (card.memory > 0) {
      text += fmt::format(
          " of {}: {}", in_gib(card.memory),
          card.fits() ? fmt::format("fits and leaves {}", in_gib(card.memory - card.needed)) : "DOES NOT FIT");
    }
  }
  if (!plan.cards.empty()) text += '\n';
  return text + fmt::format("\nsigmas {:.4f}\n", fmt::join(plan.sigmas, " "));
}

std::string as_json(const Plan& plan) {
  Json json = {{"dtype", dtype_name(plan.placement.dtype)},
               {"quantize", as_text(plan.placement.formats)},
               {"encoders_streamed", plan.placement.encoder_residency == Residency::streamed},
               {"height", plan.picture.height},
               {"width", plan.picture.width},
               {"ranks", Json::array()},
               {"cards", Json::object()},
               {"sigmas", plan.sigmas}};
  for (size_t i = 0; i < plan.ranks.size(); ++i) json["ranks"].push_back(rank_json(plan, i));
  bool known = !plan.cards.empty();
  for (const auto& [name, card] : plan.cards) {
    json["cards"][name] = card_json(card);
    known = known && card.memory > 0;
  }
  if (known) json["fits"] = plan.fits();
  return json.dump(2) + "\n";
}

}  // namespace flux
