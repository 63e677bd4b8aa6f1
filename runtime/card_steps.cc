#include "runtime/card_steps.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <ranges>
#include <span>

#include "model/files/json_lines.h"
#include "model/files/printable.h"
#include "model/request.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

constexpr int64_t kMostBytes = 1 << 24;
constexpr double kMostNumber = 1e9;  // of pixels, tokens, milliseconds

double number(const nlohmann::json& line, const char* key, const std::string& where) {
  const auto found = line.find(key);
  const double value = found != line.end() && found->is_number() ? found->get<double>() : std::nan("");
  if (!(value > 0 && value < kMostNumber))
    throw Invalid(
        fmt::format("{}: \"{}\" is no number above 0: bench step -o jsonl writes what is wanted", where, key));
  return value;
}

}  // namespace

CardSteps read_card_steps(const std::filesystem::path& file) {
  CardSteps steps;
  each_json_line(file, kMostBytes, [&](const std::string& where, const nlohmann::json& line) {
    const auto card = line.find("card");
    if (card == line.end() || !card->is_string() || card->get_ref<const std::string&>().empty())
      throw Invalid(where + ": names no \"card\": bench step -o jsonl on a card writes what is wanted");
    const Picture picture{.height = static_cast<int64_t>(number(line, "height", where)),
                          .width = static_cast<int64_t>(number(line, "width", where))};
    const double all = static_cast<double>(picture.tokens()) + number(line, "text_tokens", where);
    if (number(line, "rows", where) < all)
      throw Invalid(where + ": is of a step that several ranks shared; measure one card: bench step without mpirun");
    steps[printable_line(card->get<std::string>())] = number(line, "median_ms", where);
  });
  if (steps.empty())
    throw Invalid(file.string() +
                  ": holds no steps; add those of each model of card: flux-dist bench step -o jsonl >> " +
                  file.string());
  return steps;
}

CardSteps evened(const CardSteps& steps, double by) {
  CardSteps result;
  for (const auto& [card, milliseconds] : steps) result[card] = std::pow(milliseconds, 1 - by);
  return result;
}

std::vector<RankFacts> largest_cards_first(std::vector<RankFacts> facts) {
  for (RankFacts& rank : facts) {
    const std::vector<Card> as_numbered = rank.cards;
    std::ranges::stable_sort(rank.cards, std::ranges::greater(), &Card::total_bytes);
    for (Card& card : rank.cards) {
      const std::vector<int> distances = card.distances;
      for (size_t i = 0; i < distances.size(); ++i) {
        const auto from = std::ranges::find(as_numbered, rank.cards[i].uuid, &Card::uuid) - as_numbered.begin();
        card.distances[i] = distances[static_cast<size_t>(from)];
      }
    }
  }
  return facts;
}

CardShares shares_by_speed(const CardSteps& steps, size_t size, size_t replicas, const std::vector<RankFacts>& facts) {
  constexpr double fastest_share = 100;
  for (const RankFacts& rank : facts)
    if (rank.cards.size() < size * replicas)
      throw Invalid(
          fmt::format("--shares-from wants a card for each rank that draws, {}, and {} sees {}: give --shares",
                      size * replicas, rank.host, rank.cards.size()));
  const auto measured = [&](const Card& card) {
    const auto found = steps.find(printable_line(card.name));
    if (found == steps.end())
      throw Invalid(fmt::format("--shares-from: no step of {} is there; add one: flux-dist bench step -o jsonl >> FILE",
                                printable_line(card.name)));
    return found->second;
  };
  CardShares result;
  std::vector<double> milliseconds;
  for (size_t place = 0; place < size; ++place) {
    const auto cards = std::span(facts.back().cards).subspan(place * replicas, replicas);
    milliseconds.push_back(std::ranges::max(cards | std::views::transform(measured)));
    result.models.push_back(cards.front().name);
  }
  for (const double of_place : milliseconds)
    result.shares.push_back(
        std::max<int64_t>(1, std::llround(fastest_share * std::ranges::min(milliseconds) / of_place)));
  return result;
}

}  // namespace flux
