#pragma once

#include <cstdint>

#include "model/config.h"
#include "runtime/options/settings.h"

namespace flux {

/// As many T5 tokens as the model is made for: 512, or fewer where its tokenizer says so.
int64_t longest_sequence(const ModelFolder& folder);

/// The weakest layer: size, steps, guidance and tokens of this model.
void add_model_defaults(Settings& settings, const ModelFolder& folder);

/// And of the noise: the dtype in which text_encoder_2 is stored (its headers are read only if nobody gave one), and a
/// random seed.
void add_noise_defaults(Settings& settings, const ModelFolder& folder);

}  // namespace flux
