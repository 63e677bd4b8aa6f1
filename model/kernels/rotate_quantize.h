#pragma once

#include <ATen/ATen.h>

#include "model/format.h"
#include "model/linear/activation.h"

namespace flux {

/// quantize_rows of rows that are rotated first: signs, then the butterflies of a Hadamard matrix from neighbours
/// outwards, in fp32 (rotation.h). It spreads columns that stick out over their block; exact algebra where both sides
/// of a product are rotated. x: [rows, width] of any floating dtype, width a multiple of 16, rows may be strided. On a
/// CUDA device this is one kernel; rotate_quantize_aten defines it, bit for bit.
void rotate_quantize(const at::Tensor& x, const Activation& out);
void rotate_quantize_aten(const at::Tensor& x, const Activation& out);

/// Dense rows as a product takes them: themselves, or rotated and quantised into new memory.
Activation as_input(Format input, const at::Tensor& x);

}  // namespace flux
