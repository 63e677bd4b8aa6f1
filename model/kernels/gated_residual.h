#pragma once

#include <ATen/ATen.h>

namespace flux {

/// residual += gate y, arithmetic in fp32, rounded once.
/// residual, y: [rows, d] of any floating dtype. gate: [d] fp32.
void gated_residual(const at::Tensor& residual, const at::Tensor& gate, const at::Tensor& y);

}  // namespace flux
