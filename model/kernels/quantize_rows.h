#pragma once

#include <ATen/ATen.h>

#include "model/linear/activation.h"

namespace flux {

/// Each row to int8: code = round(v 127 / absmax), halves to even, scale = absmax / 127, both in fp32. A row of zeros
/// has zeros and the scale 0; one that is not finite has a scale that is not. x: [rows, width] of any floating dtype,
/// rows may be strided, or [strided, packed rows, width], such as some heads of tokens; codes: int8 [all rows, width],
/// packed; scales: [all rows]. On a CUDA device one kernel, which quantize_rows_aten defines bit for bit.
void quantize_rows(const at::Tensor& x, const Activation& out);
void quantize_rows_aten(const at::Tensor& x, const Activation& out);

}  // namespace flux
