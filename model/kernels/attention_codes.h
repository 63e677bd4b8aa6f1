#pragma once

#include <ATen/ATen.h>

namespace flux {

/// Queries, keys, values and what is attended to as attention in fp8 has them: e4m3(4 v). One scale, whatever a tensor
/// holds, is the same on all ranks: queries and keys are normalised, and e4m3 is as exact for small values as for
/// large ones. What exceeds 112, or is not finite, becomes no number.
/// Values to codes, codes to values, or either copied, by both dtypes. [..., heads, head_dim] of the same shape, of up
/// to five dimensions, heads packed, the others of any stride. On a CUDA device one kernel, which
/// attention_codes_aten defines bit for bit.
void attention_codes(const at::Tensor& from, const at::Tensor& to);
void attention_codes_aten(const at::Tensor& from, const at::Tensor& to);

inline bool are_attention_codes(const at::Tensor& x) { return x.scalar_type() == at::kFloat8_e4m3fn; }

}  // namespace flux
