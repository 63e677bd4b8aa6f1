#pragma once

#include <ATen/ATen.h>

#include "model/linear/activation.h"

namespace flux {

/// How a layer norm is modulated. diffusers: AdaLayerNormZero.
struct ShiftScale {
  at::Tensor shift, scale;  // [d] fp32
};

/// out = layer_norm(x) (1 + scale) + shift, over the last dimension, eps 1e-6, arithmetic in fp32, rounded once: to
/// out's dtype, or to codes as quantize_operand.h has them. x: [rows, d] of any floating dtype.
void modulated_norm(const at::Tensor& x, const ShiftScale& modulation, const Activation& out);

/// residual += gate y, arithmetic in fp32, rounded once; then out as above, of the new residual: on a card in one pass.
/// residual, y: [rows, d] of any floating dtype. gate: [d] fp32.
void add_and_norm(const at::Tensor& residual, const at::Tensor& gate, const at::Tensor& y, const ShiftScale& modulation,
                  const Activation& out);

/// What they compute, in ATen.
void modulated_norm_aten(const at::Tensor& x, const ShiftScale& modulation, const Activation& out);
void add_and_norm_aten(const at::Tensor& residual, const at::Tensor& gate, const at::Tensor& y,
                       const ShiftScale& modulation, const Activation& out);

}  // namespace flux
