#include "runtime/rank_facts.h"

#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "parallel/rank/device.h"
#include "parallel/rank/host_addresses.h"

namespace flux {

RankFacts rank_facts(DeviceChoice device) {
  RankFacts facts{host_name(), getpid(), usable_cores(), {}, host_addresses()};
  if (device == DeviceChoice::cpu) return facts;
  facts.cards = visible_cards();
  std::vector<std::string> uuids;
  for (const Card& card : facts.cards) uuids.push_back(card.uuid);
  std::vector<std::vector<int>> distances = distances_between(uuids);
  for (size_t i = 0; i < distances.size(); ++i) facts.cards[i].distances = std::move(distances[i]);
  return facts;
}

}  // namespace flux
