#pragma once

// The one description of a prompt: the per_request fields of options.proto, whichever way it is written down. Flags
// and .jsonl set them, ranks send them to each other, journal and pictures print them.

#include <cstdint>
#include <string>

#include "model/request.h"

namespace flux {

namespace proto {
class Options;
}

/// `token_side`: pixels, of the model. What is absent has options.proto's default; sigmas fix the steps.
/// Throws Invalid for a noise_dtype that nobody gave.
Prompt prompt_of(const proto::Options& options, int64_t token_side);

/// The per_request fields: prompt_of() makes the same prompt of them.
proto::Options options_of(const Prompt& prompt);

/// The same as JSON on one line, under diffusers' names in the order of options.proto. Equal prompts give equal text.
std::string parameters_json(const Prompt& prompt);

/// 16 hex digits that tell this prompt from others.
std::string identity_of(const Prompt& prompt);

}  // namespace flux
