#include "runtime/bench_decode.h"

#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>
#include <spdlog/spdlog.h>

#include "model/decoder.h"
#include "model/denoiser.h"
#include "parallel/rank/stage_stream.h"
#include "runtime/device_memory.h"
#include "runtime/own_cores.h"

namespace flux {

DecodeTimes measure_decode(const Checkpoint& checkpoint, const RankPlace& place, at::ScalarType dtype,
                           const Picture& picture, int64_t repetitions) {
  using Clock = std::chrono::steady_clock;
  constexpr int64_t warm_up = 2;
  use_own_cores(place);
  const c10::InferenceMode no_gradients;
  const c10::DeviceGuard current(place.device);
  const StageStream stream(place.device);
  const Decoder decoder(checkpoint, {place.device, dtype});
  const DeviceMemory memory(place.device);
  const at::Tensor latents = noise(picture, checkpoint.folder.transformer.in_channels).to(place.device);
  std::vector<double> times;
  for (int64_t i = 0; i < warm_up + repetitions; ++i) {
    const Clock::time_point began = Clock::now();
    const Image image = decoder(latents, picture);
    if (i == 0 && !image.warning.empty()) spdlog::warn("what is timed: {}", image.warning);
    if (i >= warm_up) times.push_back(milliseconds(Clock::now() - began));
  }
  return {spread_of(times), memory.at_first(), memory.peak() - memory.at_first()};
}

}  // namespace flux
