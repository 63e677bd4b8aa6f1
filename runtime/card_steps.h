#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "runtime/placement.h"

namespace flux {

/// Of what `bench step -o jsonl` printed on one card of each model, line after line; a model's last line counts. Throws
/// Invalid naming file and line.
CardSteps read_card_steps(const std::filesystem::path& file);

/// Of shares that are less uneven: by 0 as measured, by 1 all alike.
CardSteps evened(const CardSteps& steps, double by);

/// The same ranks, whose cards with the most memory come first: they are dealt first, to those that hold text.
std::vector<RankFacts> largest_cards_first(std::vector<RankFacts> facts);

/// By place in a replica.
struct CardShares {
  std::vector<int64_t> shares;
  std::vector<std::string> models;  // of the cards
};

/// A share for each rank of `replicas` replicas of `size` ranks, in proportion to the speed of the slowest card that is
/// for this place in any of them. `facts`: largest cards first. Throws Invalid for a model that was not measured, and
/// where not every rank sees as many cards as it takes.
CardShares shares_by_speed(const CardSteps& steps, size_t size, size_t replicas, const std::vector<RankFacts>& facts);

}  // namespace flux
