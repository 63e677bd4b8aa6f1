#pragma once

#include <cstdint>
#include <vector>

#include "model/config.h"
#include "model/request.h"

namespace flux {

/// Noise levels of a picture with this many packed tokens: `steps` + 1 values from 1 down to 0, the same float32 bits
/// as FlowMatchEulerDiscreteScheduler gives FluxPipeline. `steps` is at least 1. Throws Invalid where they are no
/// finite numbers: the shift grows exponentially with the picture.
std::vector<float> sigmas(const SchedulerConfig& config, int64_t steps, int64_t image_tokens);

/// The same of FluxPipeline's argument `sigmas`: a noise level for each step, in place of even ones.
std::vector<float> time_shifted(const SchedulerConfig& config, const std::vector<double>& levels, int64_t image_tokens);

/// Of the picture that this prompt draws.
std::vector<float> sigmas(const SchedulerConfig& config, const Prompt& prompt);

/// What the time embedder sees at each step (0 ... 1000), rounded in float32 where FluxPipeline rounds.
std::vector<float> timesteps(const SchedulerConfig& config, const std::vector<float>& sigmas);

}  // namespace flux
