#pragma once

#include <ATen/ATen.h>

#include "model/linear/activation.h"

namespace flux {

/// out = scale of the row * codes, in fp32 and rounded once. codes: int8 [rows, width]; out: [rows, width], packed, of
/// any floating dtype. On a CUDA device one kernel, which dequantize_aten defines bit for bit.
void dequantize(const Activation& codes, const at::Tensor& out);
void dequantize_aten(const Activation& codes, const at::Tensor& out);

}  // namespace flux
