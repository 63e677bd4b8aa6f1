#pragma once

// Which ranks of a test use which CUDA device.

#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "parallel/rank/device.h"
#include "tests/parallel/ranks.h"

namespace flux {

inline std::vector<int> all_ranks(const World& world) {
  std::vector<int> ranks(world.size());
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

/// Cards are dealt out in turn.
inline at::Device card_of(const World& world) {
  return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(world.rank() % visible_cards().size()));
}

inline std::string no_card(int) { return visible_cards().empty() ? "no CUDA device" : ""; }

/// NCCL wants a card for each rank. Hosts tell cards apart, too.
inline std::string too_few_cards(int ranks) {
  if (const std::string obstacle = no_card(ranks); !obstacle.empty()) return obstacle;
  size_t cards = visible_cards().size();
  if (World* world = world_of_this_process()) {
    const Card mine = visible_cards()[card_of(*world).index()];
    const std::vector<std::string> all = world->exchange(host_name() + mine.uuid);
    cards = std::set<std::string>(all.begin(), all.end()).size();
  }
  return cards < static_cast<size_t>(ranks) ? "fewer CUDA devices than ranks" : "";
}

}  // namespace flux
