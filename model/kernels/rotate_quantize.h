#pragma once

#include <ATen/ATen.h>

#include "model/format.h"
#include "model/linear/activation.h"

namespace flux {

/// Each row to int8: code = round(v 127 / absmax), halves to even, scale = absmax / 127, both in fp32. A row of zeros
/// has zeros and the scale 0; one that is not finite has a scale that is not. rows: [rows, width] fp32;
/// codes: int8 [rows, width]; scales: [rows].
void quantize_rows(const at::Tensor& rows, const Activation& out);

/// The same of rows that are rotated first: signs, then the butterflies of a Hadamard matrix from neighbours outwards,
/// in fp32 (rotation.h). It spreads columns that stick out over their block; exact algebra where both sides of a
/// product are rotated. x: [rows, width] of any floating dtype, width a multiple of 16, rows may be strided. On a CUDA
/// device this is one kernel; rotate_quantize_aten defines it, bit for bit.
void rotate_quantize(const at::Tensor& x, const Activation& out);
void rotate_quantize_aten(const at::Tensor& x, const Activation& out);

/// Dense rows as a product takes them: themselves, or rotated and quantised into new memory.
Activation as_input(Format input, const at::Tensor& x);

}  // namespace flux
