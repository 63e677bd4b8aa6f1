#pragma once

#include <functional>
#include <memory>
#include <string>

#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/weights.h"
#include "model/format.h"
#include "model/request.h"

namespace flux {

/// Prompt to conditioning: both text encoders, the context embedder, and modulation of all steps at once
/// (time, guidance and pooled-text embedders, every AdaLN linear, norm_out's linear).
/// diffusers: FluxPipeline.encode_prompt and the modulation of FluxTransformer2DModel.
class Encoder {
 public:
  Encoder(const Checkpoint& checkpoint, Placing placing, const Formats& formats = {});
  ~Encoder();

  /// Throws Invalid for a prompt that cannot be encoded (an id past the embedding).
  /// `warn` gets a sentence for text that truncation dropped. What it returns lies on the device and is complete: any
  /// stream may read it.
  Conditioning operator()(const Prompt& prompt, const std::function<void(const std::string&)>& warn) const;

 private:
  struct Parts;
  std::unique_ptr<const Parts> parts_;
};

}  // namespace flux
