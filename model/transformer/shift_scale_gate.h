#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace flux {

/// One adaptive layer norm at one step: how to modulate a branch's input, and how much of its output to add.
struct ShiftScaleGate {
  at::Tensor shift, scale, gate;  // [d] fp32 each

  /// `row`: one step of the modulation table, [n]; `column`: where the three vectors start.
  ShiftScaleGate(const at::Tensor& row, int64_t column, int64_t d)
      : shift(row.narrow(0, column, d)), scale(row.narrow(0, column + d, d)), gate(row.narrow(0, column + 2 * d, d)) {}
};

}  // namespace flux
