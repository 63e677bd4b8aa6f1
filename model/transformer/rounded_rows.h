#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "model/linear/activation.h"

namespace flux {

/// A rank's keys and values, and what they are rounded to on their way: all codes, then all scales.
struct RoundedRows {
  Activation codes;    // [rows * 2 * heads, head_dim]
  at::Tensor widened;  // [rows * 2 * heads, head_dim]

  void round() const;
  void widen() const;
};

/// keys_values: [tokens, 2, heads, head_dim], of which rank r has rows[r] tokens; rounded: [tokens, rounded_bytes].
std::vector<RoundedRows> rounded_by_rank(const at::Tensor& keys_values, const at::Tensor& rounded,
                                         const std::vector<int64_t>& rows);

}  // namespace flux
