#pragma once

#include <ATen/ATen.h>

#include "model/linear/linear.h"

namespace flux {

/// hidden = gelu(up(x)), the tanh approximation. x: [rows, d]; hidden: [rows, 4 d], may be a column range.
void up_gelu(const Linear& up, const at::Tensor& x, const at::Tensor& hidden);

}  // namespace flux
