#include "runtime/source/picture_size.h"

#include "parallel/rank/errors.h"

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

}  // namespace flux
