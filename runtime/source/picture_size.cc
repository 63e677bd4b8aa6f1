#include "runtime/source/picture_size.h"

#include "parallel/rank/errors.h"
#include "runtime/options.pb.h"

namespace flux {

int64_t drawn_pixels(int64_t pixels, int64_t token_side, const std::string& what, const Warn& warn) {
  const std::string asked = what + ": " + std::to_string(pixels), side = std::to_string(token_side);
  if (pixels < token_side) throw Invalid(asked + " is less than " + side);
  const int64_t multiple = pixels / token_side * token_side;
  if (multiple != pixels) {
    warn(asked + " is not a multiple of " + side + "; drawing " + std::to_string(multiple));
  }
  return multiple;
}

Picture drawn_picture(const Settings& settings, int64_t token_side, const Warn& warn) {
  const proto::Options& options = settings.message();
  return {.height = drawn_pixels(options.height(), token_side, settings.origin("height"), warn),
          .width = drawn_pixels(options.width(), token_side, settings.origin("width"), warn),
          .token_side = token_side};
}

}  // namespace flux
