#pragma once

#include <ATen/ATen.h>

#include <array>
#include <cstdint>

#include "model/request.h"

namespace flux {

/// Rotary position embedding of some tokens: cosine and sine of every pair's angle, [tokens, head_dim / 2] fp32.
struct Rotary {
  at::Tensor cos, sin;

  Rotary narrow(int64_t begin, int64_t tokens) const {
    return {cos.narrow(0, begin, tokens), sin.narrow(0, begin, tokens)};
  }
};

/// Of the whole joint sequence, on the CPU. Text tokens stand at the origin, picture tokens at (0, row, column).
/// diffusers: FluxPosEmbed, theta 10000, angles in fp64.
Rotary rotary(const std::array<int64_t, 3>& axes_dims_rope, int64_t text_tokens, const Picture& picture);

}  // namespace flux
