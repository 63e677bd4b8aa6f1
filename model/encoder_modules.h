#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/weights.h"
#include "model/format.h"
#include "model/linear/linear.h"
#include "model/text/clip_text.h"
#include "model/text/t5_encoder.h"
#include "model/transformer/modulation.h"

namespace flux {

/// What an encoder multiplies with, each module in its format.
class EncoderModules {
  Weights clip_weights_, t5_weights_, transformer_weights_;

 public:
  EncoderModules(const Checkpoint& checkpoint, const Placing& placing, const Formats& formats);

  /// Of weights, by component: text_encoder, text_encoder_2, and modulation for what is the transformer's.
  std::map<std::string, int64_t> bytes() const;

  /// Of weights that are streamed, in pinned memory.
  int64_t bytes_on_host() const;

  ClipText clip;
  T5Encoder t5;
  Linear context_embedder;
  Modulation modulation;
};

}  // namespace flux
