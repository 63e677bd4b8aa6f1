#include "runtime/bench_step.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>

#include <chrono>

#include "model/denoiser.h"
#include "model/transformer/cut.h"
#include "model/transformer/modulation_layout.h"
#include "parallel/rank/stage_stream.h"
#include "runtime/device_memory.h"
#include "runtime/moments.h"

namespace flux {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kWarmUp = 3;    // steps: libraries choose, the step is recorded, and once more
constexpr int64_t kLaunched = 5;  // more steps, each queued on a device that is idle

/// Of the spread that a model sees: embedded text and modulation as trained models have them.
Conditioning random_conditioning(const TransformerConfig& config, int64_t text_tokens, int64_t steps,
                                 const RankPlace& place, at::ScalarType dtype) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(1);
  const auto on_device = [&](const at::Tensor& values) { return values.to(place.device, dtype); };
  Conditioning conditioning;
  conditioning.branches.push_back(
      {on_device(at::randn({text_tokens, config.hidden_size()}, generator)),
       on_device(0.5 * at::randn({1, ModulationLayout(config).size()}, generator)).expand({steps, -1})});
  for (int64_t step = 0; step <= steps; ++step)
    conditioning.sigmas.push_back(static_cast<float>(steps - step) / static_cast<float>(steps));
  return conditioning;
}

/// The products and attention of all blocks over some rows, nothing between them.
double floor_milliseconds(const TransformerConfig& config, int64_t rows, int64_t keys, at::TensorOptions options) {
  const int64_t d = config.hidden_size();
  const auto random = [&](at::IntArrayRef sizes) { return at::randn(sizes, options); };
  const auto x = random({rows, d}), hidden = random({rows, 4 * d});
  const auto q = random({1, rows, config.num_attention_heads, config.attention_head_dim}).transpose(1, 2);
  const auto kv = random({2, 1, keys, config.num_attention_heads, config.attention_head_dim}).transpose(2, 3);
  const auto qkv = random({3 * d, d}), out = random({d, d}), up = random({4 * d, d}), down = random({d, 4 * d});
  const auto bias = random({4 * d});
  const auto product = [&](const at::Tensor& in, const at::Tensor& weight) {
    return at::linear(in, weight, bias.narrow(0, 0, weight.size(0)));
  };
  Moments moments(options.device());
  const int repetitions = options.device().is_cpu() ? 2 : 10;
  for (int i = -2; i <= repetitions; ++i) {
    if (i >= 0) moments.mark();
    for (int64_t block = 0; i < repetitions && block < config.num_layers + config.num_single_layers; ++block) {
      product(x, qkv);
      at::scaled_dot_product_attention(q, kv[0], kv[1]);
      product(x, out);
      product(x, up);
      product(hidden, down);
    }
  }
  return spread_of(moments.between()).median;
}

}  // namespace

StepTimes measure_step(const Checkpoint& checkpoint, const Placement& placement, World& world, const Picture& picture,
                       int64_t text_tokens, int64_t steps) {
  const RankPlace& place = placement.ranks[world.rank()];
  const Replica& replica = placement.replicas.front();
  const TransformerConfig& config = checkpoint.folder.transformer;
  const Cut cut(text_tokens, picture.tokens(), world.size(), replica.text_ranks);
  at::set_num_threads(place.threads);
  const c10::InferenceMode no_gradients;
  const c10::DeviceGuard current(place.device);
  const StageStream stream(place.device);

  StepTimes times;
  times.rows = cut.rows(place.position);
  const auto d = static_cast<double>(config.hidden_size());
  const auto blocks = static_cast<double>(config.num_layers + config.num_single_layers);
  times.tera_flop =
      blocks * static_cast<double>(times.rows) * d * (2 * 12 * d + 4 * static_cast<double>(cut.tokens())) * 1e-12;
  {
    const auto sequence = world.group(replica.ranks, replica.transport, place.device);
    Denoiser denoiser(checkpoint, {place.device, placement.dtype, placement.formats.transformer}, *sequence,
                      placement.demand);
    world.exchange("loaded");  // which takes some longer than others: the deadline of a step is not for that
    const DeviceMemory memory(place.device);
    times.weights = denoiser.weight_bytes();
    times.buffers = denoiser.buffer_bytes();
    Moments moments(place.device), alone(place.device);
    std::vector<double> launches;
    Clock::time_point began;
    const auto on_step = [&](int64_t step, int64_t) {
      const Clock::time_point queued = Clock::now();
      if (step > kWarmUp + steps) launches.push_back(milliseconds(queued - began));
      if (step >= kWarmUp && step <= kWarmUp + steps) moments.mark();
      if (step < kWarmUp + steps) return;
      alone.mark();
      alone.wait();
      began = Clock::now();
    };
    const Conditioning conditioning =
        random_conditioning(config, text_tokens, kWarmUp + steps + kLaunched, place, placement.dtype);
    const at::Tensor latents = denoiser(conditioning, picture, on_step);
    times.output_is_finite = latents.isfinite().all().item<bool>();
    times.milliseconds = spread_of(moments.between());
    times.launch = spread_of(launches).median;
    times.workspace = memory.peak() - memory.at_first();
  }
  times.floor = floor_milliseconds(config, times.rows, cut.tokens(), at::dtype(placement.dtype).device(place.device));
  return times;
}

}  // namespace flux
