#pragma once

#include "runtime/placement.h"

namespace flux {

/// What this process stands on. Cards are looked for only where the device may be one.
RankFacts rank_facts(DeviceChoice device);

}  // namespace flux
