#pragma once

#include <ATen/ATen.h>

#include "model/linear/activation.h"

namespace flux {

/// Each row to codes of 8 bits: code = round(v most / absmax), halves to even, scale = absmax / most, both in fp32;
/// most is 127 of int8 and 448 of e4m3. A row of zeros has zeros and the scale 0; one that is not finite has a scale
/// that is not. x: [rows, width] of any floating dtype, rows may be strided, or [strided, packed rows, width], such as
/// some heads of tokens; codes: int8 or e4m3 [all rows, width], packed; scales: [all rows]. On a CUDA device one
/// kernel, which quantize_rows_aten defines bit for bit.
void quantize_rows(const at::Tensor& x, const Activation& out);
void quantize_rows_aten(const at::Tensor& x, const Activation& out);

}  // namespace flux
