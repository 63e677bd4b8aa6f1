#include "runtime/bench_step.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "model/checkpoint/counted.h"
#include "model/denoiser.h"
#include "model/kernels/attention.h"
#include "model/transformer/cut.h"
#include "model/transformer/flop.h"
#include "model/transformer/joint_attention.h"
#include "model/transformer/modulation_layout.h"
#include "parallel/rank/device.h"
#include "parallel/rank/stage_stream.h"
#include "runtime/bench/serialized.h"
#include "runtime/device_memory.h"
#include "runtime/exchange.h"
#include "runtime/interruptions.h"
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

/// A product of the library, of random values.
using RandomProduct = std::function<void()>;

RandomProduct dense_product_of(int64_t rows, int64_t out, int64_t in, at::TensorOptions options) {
  const auto x = at::randn({rows, in}, options), weight = at::randn({out, in}, options),
             bias = at::randn({out}, options);
  return [=] { at::linear(x, weight, bias); };
}

/// e4m3 with a scale a row and a column, which is as fast as int8 where a card has both.
RandomProduct fp8_product_of(int64_t rows, int64_t out, int64_t in, at::TensorOptions options) {
  const auto bf16 = options.dtype(at::kBFloat16), fp32 = options.dtype(at::kFloat);
  const auto codes = [&](int64_t n) { return at::randn({n, in}, bf16).to(at::kFloat8_e4m3fn); };
  const auto x = codes(rows), weight = codes(out), bias = at::randn({out}, bf16);
  const auto x_scales = at::ones({rows, 1}, fp32), weight_scales = at::ones({1, out}, fp32);
  return
      [=] { at::_scaled_mm(x, weight.t(), x_scales, weight_scales, bias, {}, at::kBFloat16, /*use_fast_accum=*/true); };
}

/// The products and attention of all blocks over some rows, nothing between them.
double floor_milliseconds(const TransformerConfig& config, int64_t rows, int64_t keys, at::TensorOptions options,
                          FloorProducts products) {
  const int64_t d = config.hidden_size();
  const auto random = [&](at::IntArrayRef sizes) { return at::randn(sizes, options); };
  const auto q = random({1, rows, config.num_attention_heads, config.attention_head_dim}).transpose(1, 2);
  const auto kv = random({2, 1, keys, config.num_attention_heads, config.attention_head_dim}).transpose(2, 3);
  const auto product = products == FloorProducts::fp8 ? fp8_product_of : dense_product_of;
  const auto qkv = product(rows, 3 * d, d, options), out = product(rows, d, d, options),
             up = product(rows, 4 * d, d, options), down = product(rows, d, 4 * d, options);
  Moments moments(options.device());
  const int repetitions = options.device().is_cpu() ? 2 : 10;
  for (int i = -2; i <= repetitions; ++i) {
    if (i >= 0) moments.mark();
    for (int64_t block = 0; i < repetitions && block < config.num_layers + config.num_single_layers; ++block) {
      qkv();
      at::scaled_dot_product_attention(q, kv[0], kv[1]);
      out();
      up();
      down();
    }
  }
  return spread_of(moments.between()).median;
}

/// Of a card too old for fp8 or of a CPU, what is dense is the best that a library has.
FloorProducts floor_products(const Placement& placement, const RankPlace& place) {
  if (input_of(placement.formats.transformer) == Format::dense) return FloorProducts::dense;
  const auto cards = visible_cards();
  const auto mine = std::ranges::find(cards, place.card, &Card::uuid);
  return mine != cards.end() && mine->capability >= 89 ? FloorProducts::fp8 : FloorProducts::dense;
}

/// Hears of every step: of those that libraries choose in, of those that are timed, of more, each queued on a device
/// that is idle, and of those that are traced.
class StepWatch {
 public:
  StepWatch(at::Device device, int64_t steps, bool traces)
      : device_(device), last_(kWarmUp + steps), traces_(traces), ends_(device), alone_(device) {}

  int64_t all_steps() const { return last_ + kLaunched + (traces_ ? kTracedSteps : 0); }

  void operator()(int64_t step, int64_t) {
    const Clock::time_point queued = Clock::now();
    if (step > last_ + kLaunched) return;
    if (step > last_) launches_.push_back(milliseconds(queued - began_));
    if (step >= kWarmUp && step <= last_) ends_.mark();
    if (step == kWarmUp && !device_.is_cpu()) interruptions_.emplace(device_);
    if (step < last_) return;
    if (step == last_ && interruptions_) stop_counting();
    alone_.mark();
    alone_.wait();
    if (traces_ && step == last_ + kLaunched) trace_.emplace(device_);
    began_ = Clock::now();
  }

  void tell(StepTimes& times) {
    times.milliseconds = spread_of(ends_.between());
    times.launch = spread_of(launches_).median;
    times.host_waits = waits_;
    times.allocations = allocations_;
    if (trace_) times.trace = trace_->stop();
  }

 private:
  void stop_counting() {
    waits_ = interruptions_->waits();
    allocations_ = interruptions_->allocations();
    interruptions_.reset();
  }

  const at::Device device_;
  const int64_t last_;  // that is timed
  const bool traces_;
  Moments ends_, alone_;
  std::vector<double> launches_;
  Clock::time_point began_;
  std::optional<Interruptions> interruptions_;  // of the steps that are timed
  std::optional<int64_t> waits_, allocations_;
  std::optional<DeviceTrace> trace_;
};

}  // namespace

StepTimes measure_step(const Checkpoint& checkpoint, const Placement& placement, World& world,
                       const StepMeasurement& how) {
  const auto& [picture, text_tokens, steps, traces, serialized] = how;
  const RankPlace& place = placement.ranks[world.rank()];
  const Replica& replica = placement.replicas.front();
  const TransformerConfig& config = checkpoint.folder.transformer;
  const Cut cut(text_tokens, picture.tokens(), world.size(), replica.text_ranks, placement.demand.shares);
  at::set_num_threads(place.threads);
  const c10::InferenceMode no_gradients;
  const c10::DeviceGuard current(place.device);
  DeviceMemory::keep_stacks_small(place.device);
  const StageStream stream(place.device);

  StepTimes times;
  times.rows = cut.rows(place.position);
  times.tera_flop = step_flop(config, times.rows, cut.tokens()) * 1e-12;
  {
    auto sequence = world.group(replica.ranks, replica.transport, place.device);
    if (serialized) sequence = std::make_unique<Serialized>(std::move(sequence));
    const auto read = std::make_shared<std::atomic<int64_t>>(0);
    std::optional<Denoiser> loaded;
    times.load = milliseconds_of(place.device, [&] {
      loaded.emplace(counted(checkpoint, read), Placing{place.device, placement.dtype, placement.formats.transformer},
                     *sequence, placement.demand, exchange_of(placement, replica, config));
    });
    Denoiser& denoiser = *loaded;
    times.read = *read;
    world.exchange("loaded");  // which takes some longer than others: the deadline of a step is not for that
    const DeviceMemory memory(place.device);
    times.weights = denoiser.weight_bytes();
    times.buffers = denoiser.buffer_bytes();
    StepWatch watch(place.device, steps, traces);
    const Conditioning conditioning =
        random_conditioning(config, text_tokens, watch.all_steps(), place, placement.dtype);
    const at::Tensor latents = denoiser(conditioning, picture, std::ref(watch));
    times.output_is_finite = latents.isfinite().all().item<bool>();
    times.output_rms = latents.pow(2).mean().sqrt().item<double>();
    times.steps = watch.all_steps();
    times.replayed = denoiser.replayed_steps();
    watch.tell(times);
    times.workspace = memory.peak() - memory.at_first();
  }
  const at::ScalarType attended = attended_dtype(placement.formats.attention, placement.dtype);
  times.attention =
      attention_library(at::empty({1, 1, config.attention_head_dim}, at::dtype(attended).device(place.device)));
  times.floor_products = floor_products(placement, place);
  times.floor = floor_milliseconds(config, times.rows, cut.tokens(), at::dtype(placement.dtype).device(place.device),
                                   times.floor_products);
  return times;
}

}  // namespace flux
