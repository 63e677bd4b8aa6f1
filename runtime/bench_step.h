#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/checkpoint/checkpoint.h"
#include "model/request.h"
#include "parallel/world.h"
#include "runtime/bench/device_trace.h"
#include "runtime/moments.h"
#include "runtime/placement.h"

namespace flux {

/// What the floor multiplies in: the step's dtype, or e4m3.
enum class FloorProducts { dense, fp8 };

/// What a denoising step takes on one rank.
struct StepTimes {
  Spread milliseconds;  // of a step, on the rank's device
  double launch = 0;    // milliseconds in which the host queues a step
  double floor = 0;     // milliseconds of the step's matrix products and attention alone, one after the other
  FloorProducts floor_products = FloorProducts::dense;
  double tera_flop = 0;                  // of a step
  double load = 0;                       // milliseconds in which the rank's part of the transformer is read
  int64_t read = 0;                      // bytes of its files for it
  int64_t rows = 0;                      // of the joint sequence on this rank
  int64_t weights = 0;                   // bytes
  int64_t buffers = 0;                   // bytes of the arena that steps write to
  int64_t workspace = 0;                 // bytes that the allocator gave out at most, beside weights and arena
  std::optional<int64_t> host_waits{};   // of the steps that were timed, on a card: ATen's for the card,
  std::optional<int64_t> allocations{};  // and how often it took memory from the driver; none is as it should be
  std::vector<TraceEvent> trace{};       // of kTracedSteps steps more, where that is asked for
  int64_t steps = 0, replayed = 0;       // of all that ran, those that were launched as they had been recorded
  std::string attention{};               // whose kernel: "cuDNN" or "ATen"
  bool output_is_finite = true;
  double output_rms = 0;  // of the latents after the last step
};

inline constexpr int64_t kTracedSteps = 3;

/// How a step is measured.
struct StepMeasurement {
  Picture picture;
  int64_t text_tokens, steps;
  bool trace;
  bool serialized;  // what travels between ranks is waited for at once, so that nothing hides it
};

/// Draws one picture's latents from random conditioning. Collective over the world; the first steps, in which libraries
/// choose and ranks connect, are not counted.
StepTimes measure_step(const Checkpoint& checkpoint, const Placement& placement, World& world,
                       const StepMeasurement& how);

}  // namespace flux
