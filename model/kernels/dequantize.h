#pragma once

#include <ATen/ATen.h>

#include "model/linear/activation.h"

namespace flux {

/// out = scale of the row * codes, in fp32 and rounded once. codes: int8 or e4m3 [all rows, width], packed; out, of any
/// floating dtype: [rows, width], rows may be strided, or [strided, packed rows, width], such as some heads of tokens.
/// On a CUDA device one kernel, which dequantize_aten defines bit for bit.
void dequantize(const Activation& codes, const at::Tensor& out);
void dequantize_aten(const Activation& codes, const at::Tensor& out);

}  // namespace flux
