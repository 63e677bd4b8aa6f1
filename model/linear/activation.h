#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace flux {

/// Rows that a product multiplies: dense, or codes of 8 bits with a scale each (quantize_operand.h).
struct Activation {
  at::Tensor values;    // [rows, width] of the compute dtype, or int8 or e4m3 and packed
  at::Tensor scales{};  // [rows] fp32; undefined where dense

  bool quantized() const { return scales.defined(); }
  int64_t rows() const { return values.size(0); }
  Activation narrow(int64_t begin, int64_t rows) const {
    return {values.narrow(0, begin, rows), quantized() ? scales.narrow(0, begin, rows) : at::Tensor()};
  }
};

}  // namespace flux
