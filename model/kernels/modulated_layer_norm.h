#pragma once

#include <ATen/ATen.h>

namespace flux {

/// out = layer_norm(x) (1 + scale) + shift, over the last dimension, eps 1e-6, arithmetic in fp32, rounded once.
/// x, out: [rows, d] of any floating dtype. shift, scale: [d] fp32.
void modulated_layer_norm(const at::Tensor& x, const at::Tensor& shift, const at::Tensor& scale, const at::Tensor& out);

}  // namespace flux
