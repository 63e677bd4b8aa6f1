#include "model/schedule.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "parallel/rank/errors.h"

namespace flux {

namespace {

/// FluxPipeline's calculate_shift: larger pictures spend more steps at high noise.
double shift_of_resolution(const SchedulerConfig& config, int64_t image_tokens) {
  const double slope = (config.max_shift - config.base_shift) /
                       static_cast<double>(config.max_image_seq_len - config.base_image_seq_len);
  const double intercept = config.base_shift - slope * static_cast<double>(config.base_image_seq_len);
  return static_cast<double>(image_tokens) * slope + intercept;
}

/// The flow-matching time shift, in numpy's float32 arithmetic.
float shifted(const SchedulerConfig& config, float sigma, int64_t image_tokens) {
  if (config.use_dynamic_shifting) {
    const auto exp_mu = static_cast<float>(std::exp(shift_of_resolution(config, image_tokens)));
    return exp_mu / (exp_mu + (1.0F / sigma - 1.0F));
  }
  const auto shift = static_cast<float>(config.shift);
  return shift * sigma / (1.0F + static_cast<float>(config.shift - 1.0) * sigma);
}

}  // namespace

std::vector<float> sigmas(const SchedulerConfig& config, int64_t steps, int64_t image_tokens) {
  TORCH_CHECK(steps >= 1, steps, " steps");
  const double last = 1.0 / static_cast<double>(steps);
  const double stride = steps == 1 ? 0.0 : (last - 1.0) / static_cast<double>(steps - 1);
  std::vector<double> levels;
  levels.reserve(static_cast<size_t>(steps));
  for (int64_t step = 0; step < steps; ++step) {  // numpy.linspace(1, 1 / steps, steps), whose last value is exact
    levels.push_back(step > 0 && step == steps - 1 ? last : static_cast<double>(step) * stride + 1.0);
  }
  return time_shifted(config, levels, image_tokens);
}

std::vector<float> time_shifted(const SchedulerConfig& config, const std::vector<double>& levels,
                                int64_t image_tokens) {
  std::vector<float> all;
  all.reserve(levels.size() + 1);
  for (double level : levels) all.push_back(shifted(config, static_cast<float>(level), image_tokens));
  const bool finite = std::all_of(all.begin(), all.end(), [](float sigma) { return std::isfinite(sigma); });
  if (!finite) {
    throw Invalid("by the shift of scheduler_config.json a picture of " + std::to_string(image_tokens) +
                  " tokens has sigmas that are no finite numbers");
  }
  all.push_back(0.0F);
  return all;
}

std::vector<float> sigmas(const SchedulerConfig& config, const Prompt& prompt) {
  const int64_t tokens = prompt.picture.tokens();
  return prompt.sigmas.empty() ? sigmas(config, prompt.num_inference_steps, tokens)
                               : time_shifted(config, prompt.sigmas, tokens);
}

std::vector<float> timesteps(const SchedulerConfig& config, const std::vector<float>& sigmas) {
  const auto train_timesteps = static_cast<float>(config.num_train_timesteps);
  std::vector<float> all;
  for (size_t step = 0; step + 1 < sigmas.size(); ++step) {
    const float fraction = sigmas[step] * train_timesteps / 1000.0F;  // the pipeline passes it so,
    all.push_back(fraction * 1000.0F);                                // and the transformer undoes it
  }
  return all;
}

}  // namespace flux
