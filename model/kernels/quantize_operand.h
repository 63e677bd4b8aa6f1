#pragma once

#include <ATen/ATen.h>

#include "model/format.h"
#include "model/linear/activation.h"

namespace flux {

/// Rows as a product in 8 bits multiplies them, by the dtype of out's values (quantize_rows.h): in e4m3 as they are, in
/// int8 rotated first. Signs, then the butterflies of a Hadamard matrix from neighbours outwards, in fp32 (rotation.h),
/// spread columns that stick out over their block: exact algebra where both sides of a product are rotated. x: [rows,
/// width] of any floating dtype, width a multiple of 16, rows may be strided. On a CUDA device this is one kernel,
/// which quantize_operand_aten defines bit for bit.
void quantize_operand(const at::Tensor& x, const Activation& out);
void quantize_operand_aten(const at::Tensor& x, const Activation& out);

/// Of the codes of a format that has 8 bits.
at::ScalarType code_dtype(Format format);

/// Dense rows as a product takes them: themselves, or quantised into new memory.
Activation as_input(Format input, const at::Tensor& x);

}  // namespace flux
