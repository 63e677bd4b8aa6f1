#pragma once

#include <ATen/ATen.h>

#include "model/linear/activation.h"

namespace flux {

// The codes of LLM.int8 (Dettmers et al., 2022), bit for bit as bitsandbytes makes them of rows rounded to fp16: on a
// card by the approximate division of its kernels, so that a code may differ by one from a CPU's.

/// [width] bytes, 1 of the columns in which any row is not below outlier_threshold. x: [rows, width] of any floating
/// dtype, rows may be strided.
at::Tensor outlier_columns(const at::Tensor& x);
at::Tensor outlier_columns_aten(const at::Tensor& x);

/// code = round(v (127 / absmax)), halves to even, scale = absmax / 127. Codes of `columns`, outlier_columns of these
/// rows and others, are zeros; a row's absmax leaves out what is not below the threshold, and no more of these columns.
/// Of undefined columns, as of a weight, no value is an outlier. x: as above; codes: int8 [rows, width], packed.
void quantize_inliers(const at::Tensor& x, const at::Tensor& columns, const Activation& out);
void quantize_inliers_aten(const at::Tensor& x, const at::Tensor& columns, const Activation& out);

}  // namespace flux
