#pragma once

#include <cstdint>
#include <string>

#include "model/request.h"
#include "runtime/options/settings.h"
#include "runtime/warn.h"

namespace flux {

/// What diffusers draws where `pixels` are asked for: the largest multiple of a token's side that fits, with a warning
/// when it is another. `what` names the value in messages. Throws Invalid when not one token fits.
int64_t drawn_pixels(int64_t pixels, int64_t token_side, const std::string& what, const Warn& warn);

/// The same of both sides of a picture that height and width of the settings ask for.
Picture drawn_picture(const Settings& settings, int64_t token_side, const Warn& warn);

}  // namespace flux
