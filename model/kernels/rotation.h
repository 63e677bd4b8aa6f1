#pragma once

#include <array>
#include <cstdint>

namespace flux {

/// The rotation of rows before they are rounded to int8: within blocks of this many columns the +-1 below, then a
/// Hadamard matrix that is not normalised, so that a product of two rotated rows is `block` times that of the rows.
/// The largest power of two up to 256 that divides the width.
constexpr int64_t rotation_block(int64_t width) {
  int64_t block = 1;
  while (block < 256 && width % (2 * block) == 0) block *= 2;
  return block;
}

/// In the configs of models whose codes are of rows rotated so: codes of another rotation mean other values.
constexpr const char* rotation_name = "pi-hadamard-256";

/// The +-1 of column c of a block: -1 where bit c % 32 of word c / 32 is set. The first 256 bits of pi's fraction.
constexpr std::array<uint32_t, 8> rotation_signs = {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344,
                                                    0xa4093822, 0x299f31d0, 0x082efa98, 0xec4e6c89};

}  // namespace flux
