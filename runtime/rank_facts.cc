#include "runtime/rank_facts.h"

#include <unistd.h>

#include "parallel/rank/device.h"

namespace flux {

RankFacts rank_facts(DeviceChoice device) {
  return {host_name(), getpid(), usable_cores(), device == DeviceChoice::cpu ? std::vector<Card>{} : visible_cards()};
}

}  // namespace flux
