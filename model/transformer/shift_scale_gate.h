#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "model/kernels/residual_norm.h"
#include "model/linear/activation.h"

namespace flux {

/// One adaptive layer norm at one step: how to modulate a branch's input, and how much of its output to add.
struct ShiftScaleGate {
  ShiftScale norm;
  at::Tensor gate;  // [d] fp32

  /// `row`: one step of the modulation table, [n]; `column`: where the three vectors start.
  ShiftScaleGate(const at::Tensor& row, int64_t column, int64_t d)
      : norm{row.narrow(0, column, d), row.narrow(0, column + d, d)}, gate(row.narrow(0, column + 2 * d, d)) {}
};

/// How what comes after a block normalises the residual, and where it reads that.
struct NextNorm {
  ShiftScale modulation;
  Activation out;
};

}  // namespace flux
