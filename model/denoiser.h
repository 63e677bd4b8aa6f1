#pragma once

#include <functional>
#include <memory>

#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/weights.h"
#include "model/context_parallel.h"
#include "model/request.h"
#include "parallel/communicator.h"

namespace flux {

/// The picture's starting latents, [tokens, in_channels] fp32 on the CPU: drawn by the CPU generator of its seed, in
/// its noise dtype, and packed. diffusers: FluxPipeline.prepare_latents with a generator for this picture.
at::Tensor noise(const Picture& picture, int64_t in_channels);

using OnStep = std::function<void(int64_t step, int64_t steps)>;  // after step `step` of `steps` (1 ... steps)

/// The transformer and the Euler loop over a replica's ranks. Every rank of `sequence` makes the same calls.
/// diffusers: FluxTransformer2DModel, FlowMatchEulerDiscreteScheduler.step.
class Denoiser {
 public:
  /// `largest`: of all pictures to come. It fixes which ranks hold text tokens and the text-stream weights, and the
  /// memory that steps use, all of which is taken here. Ulysses wants ranks that divide the heads. Collective over
  /// `sequence`.
  Denoiser(const Checkpoint& checkpoint, Placing placing, Communicator& sequence, const Demand& largest,
           const Exchange& exchange = {});
  ~Denoiser();

  /// Conditioning equal on every rank, on the denoiser's device, its branches of one length. Returns all latents
  /// [tokens, in_channels] fp32, on every rank.
  at::Tensor operator()(const Conditioning& conditioning, const Picture& picture, const OnStep& on_step);

  // Over a shapes-only source, what it would take.
  int64_t weight_bytes() const;
  int64_t buffer_bytes() const;

  /// How many steps were launched as a whole, as they had been recorded.
  int64_t replayed_steps() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace flux
