#include "runtime/own_cores.h"

#include <ATen/Parallel.h>

#include "parallel/rank/device.h"

namespace flux {

void use_own_cores(const RankPlace& place) {
  if (!place.card.empty()) run_near(place.card);
  at::set_num_threads(place.threads);  // which libraries count by thread
}

}  // namespace flux
