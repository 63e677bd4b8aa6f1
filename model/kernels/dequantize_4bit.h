#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "model/format.h"
#include "model/linear/four_bit.h"

namespace flux {

/// The rows of `from` from `first` on, as many as `out` has, in fp32 and rounded once: FourBit says how, `format` (nf4
/// or fp4) with which codebook. out: [rows, width], packed, of any floating dtype. On a CUDA device one kernel, which
/// dequantize_4bit_aten defines bit for bit.
void dequantize_4bit(const FourBit& from, Format format, int64_t first, const at::Tensor& out);
void dequantize_4bit_aten(const FourBit& from, Format format, int64_t first, const at::Tensor& out);

}  // namespace flux
