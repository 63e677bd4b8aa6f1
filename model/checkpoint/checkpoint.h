#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "model/checkpoint/tensor_source.h"
#include "model/config.h"

namespace flux {

/// The tensors of a model, by component. A rank opens only what its stages need.
struct Checkpoint {
  ModelFolder folder;

  /// `transformer`, `vae`, `text_encoder` or `text_encoder_2`. Names are those of the published FLUX.1 folders:
  /// CLIP's begin with `text_model.`, T5's embedding is `shared.weight`, whatever the file says.
  std::function<std::shared_ptr<const TensorSource>(const std::string& component)> open;
};

/// A folder's own safetensors.
Checkpoint published(const ModelFolder& folder);

/// Names and shapes computed from the folder's configs; no weights need be there, but for a quantized component, whose
/// headers say which of its matrices are.
Checkpoint shapes_only(const ModelFolder& folder);

/// Values that depend on tensor name and seed alone, scaled so that activations stay finite; bf16. For benchmarks and
/// tests of models whose weights are not there.
Checkpoint random_weights(const ModelFolder& folder, uint64_t seed);

/// The dtype that diffusers draws noise in for this model when none is given: that in which text_encoder_2 is stored,
/// of one in fp8 bf16. Throws Invalid when that is not fp32, bf16 or fp16.
at::ScalarType default_noise_dtype(const Checkpoint& checkpoint);

}  // namespace flux
