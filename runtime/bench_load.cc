#include "runtime/bench_load.h"

#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>

#include <atomic>
#include <vector>

#include "model/checkpoint/counted.h"
#include "parallel/rank/stage_stream.h"
#include "runtime/own_cores.h"

namespace flux {

LoadTimes measure_load(const Checkpoint& checkpoint, const RankPlace& place,
                       const std::function<Loaded(const Checkpoint&)>& load, int64_t repetitions) {
  use_own_cores(place);
  const c10::InferenceMode no_gradients;
  const c10::DeviceGuard current(place.device);
  const StageStream stream(place.device);
  const auto bytes = std::make_shared<std::atomic<int64_t>>(0);
  const Checkpoint read = counted(checkpoint, bytes);
  std::vector<double> times;
  for (int64_t i = 0; i < repetitions; ++i) {
    Loaded loaded;
    times.push_back(milliseconds_of(place.device, [&] { loaded = load(read); }));
  }
  return {spread_of(times), *bytes / repetitions};
}

}  // namespace flux
