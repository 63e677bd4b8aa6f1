#pragma once

#include <ATen/ATen.h>

#include "model/kernels/precision.h"
#include "model/linear/activation.h"

namespace flux {

/// Of a tensor that a kernel takes.
inline Precision precision_of(const at::Tensor& x) {
  if (x.scalar_type() == at::kFloat) return Precision::fp32;
  if (x.scalar_type() == at::kBFloat16) return Precision::bf16;
  TORCH_CHECK(x.scalar_type() == at::kHalf, "no kernel for ", x.scalar_type());
  return Precision::fp16;
}

/// Of a tensor of codes.
inline EightBit eight_bit_of(const at::Tensor& codes) {
  if (codes.scalar_type() == at::kChar) return EightBit::int8;
  TORCH_CHECK(codes.scalar_type() == at::kFloat8_e4m3fn, "no kernel for codes of ", codes.scalar_type());
  return EightBit::e4m3;
}

/// Of values beside their codes, [rows, width] whose rows may be strided, or [strided, packed rows, width]: how many
/// rows are packed. Checks that there are as many codes, packed, and a scale a row.
inline int64_t rows_together(const at::Tensor& values, const Activation& codes) {
  const bool packed = values.stride(-1) == 1 && (values.dim() == 2 || values.stride(1) == values.size(2)) &&
                      codes.values.is_contiguous();
  TORCH_CHECK(
      packed && codes.values.numel() == values.numel() && codes.scales.numel() * values.size(-1) == values.numel(),
      "as many codes as values, and a scale a row, all packed");
  return values.dim() == 2 ? 1 : values.size(1);
}

}  // namespace flux
