#include "runtime/bench_encode.h"

#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>

#include <vector>

#include "model/encoder_modules.h"
#include "model/schedule.h"
#include "parallel/rank/stage_stream.h"
#include "runtime/own_cores.h"

namespace flux {
EncodeTimes measure_encode(const Checkpoint& checkpoint, const Placement& placement, const RankPlace& place,
                           int64_t text_tokens, int64_t steps, int64_t repetitions) {
  constexpr int64_t warm_up = 2;
  const ModelFolder& folder = checkpoint.folder;
  use_own_cores(place);
  const c10::InferenceMode no_gradients;
  const c10::DeviceGuard current(place.device);
  const StageStream stream(place.device);
  const EncoderModules modules(
      checkpoint, {.device = place.device, .compute = placement.dtype, .residency = placement.encoder_residency},
      placement.formats);
  auto generator = at::make_generator<at::CPUGeneratorImpl>(1);
  const auto ids = [&](int64_t tokens, int64_t vocabulary) {
    return at::randint(0, vocabulary, {tokens}, generator, at::dtype(at::kLong)).to(place.device);
  };
  const at::Tensor clip_ids = ids(folder.text_encoder.max_position_embeddings, folder.text_encoder.vocab_size),
                   t5_ids = ids(text_tokens, folder.text_encoder_2.vocab_size);
  const std::vector<float> times =
      timesteps(folder.scheduler, sigmas(folder.scheduler, steps, placement.demand.image_tokens));
  std::vector<double> encode, modulation;
  for (int64_t i = 0; i < warm_up + repetitions; ++i) {
    at::Tensor pooled;
    const double of_text = milliseconds_of(place.device, [&] {
      pooled = modules.clip(clip_ids);
      modules.context_embedder(modules.t5(t5_ids));
    });
    const double of_steps = milliseconds_of(place.device, [&] { modules.modulation(times, 3.5, pooled); });
    if (i < warm_up) continue;
    encode.push_back(of_text);
    modulation.push_back(of_steps);
  }
  return {spread_of(encode), spread_of(modulation)};
}

}  // namespace flux
