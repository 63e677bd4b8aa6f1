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

/// As many T5 tokens as the model takes: 512, or fewer where its tokenizer says so.
int64_t longest_sequence(const ModelFolder& folder);

/// The weakest layer: steps, guidance and tokens of this model.
void add_model_defaults(Settings& settings, const ModelFolder& folder);

/// And of the noise: the dtype in which text_encoder_2 is stored (its headers are read only if nobody gave one), and a
/// random seed.
void add_noise_defaults(Settings& settings, const ModelFolder& folder);

using Warn = std::function<void(const std::string&)>;

/// Every picture of the run: --prompt, or --prompts read to its end and checked line by line. A bad line is a job with
/// an error. Throws Invalid for what concerns the whole run. Settings hold the model's defaults.
std::vector<Job> read_jobs(const Settings& settings, int64_t longest_sequence, std::istream& standard_input,
                           const Warn& warn);

}  // namespace flux
