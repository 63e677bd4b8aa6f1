#pragma once

#include <cstdint>
#include <functional>
#include <istream>
#include <string>
#include <vector>

#include "model/config.h"
#include "runtime/options.h"
#include "runtime/options/settings.h"

namespace flux {

/// As many T5 tokens as the model is made for: 512, or fewer where its tokenizer says so.
int64_t longest_sequence(const ModelFolder& folder);

/// The weakest layer: size, steps, guidance and tokens of this model.
void add_model_defaults(Settings& settings, const ModelFolder& folder);

/// And of the noise: the dtype in which text_encoder_2 is stored (its headers are read only if nobody gave one), and a
/// random seed.
void add_noise_defaults(Settings& settings, const ModelFolder& folder);

using Warn = std::function<void(const std::string&)>;

/// What diffusers draws where `pixels` are asked for: the largest multiple of a token's side that fits, with a warning
/// when it is another. `what` names the value in messages. Throws Invalid when not one token fits.
int64_t drawn_pixels(int64_t pixels, int64_t token_side, const std::string& what, const Warn& warn);

/// Every picture of the run: --prompt, or --prompts read to its end and checked line by line. A bad line is a job with
/// an error. Throws Invalid for what concerns the whole run. Settings hold the model's defaults. `token_side`: pixels,
/// of the model.
std::vector<Job> read_jobs(const Settings& settings, int64_t token_side, std::istream& standard_input,
                           const Warn& warn);

}  // namespace flux
