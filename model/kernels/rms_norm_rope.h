#pragma once

#include <ATen/ATen.h>

namespace flux {

/// Every head of every token is RMS-normalised (eps 1e-6), scaled by `weight`, and its pairs of neighbours
/// rotated: (a, b) becomes (a cos - b sin, b cos + a sin). Arithmetic in fp32, rounded once to
/// x's dtype. x: [tokens, heads, head_dim], heads packed, tokens any stride; out: x itself, or its codes
/// (attention_codes.h), of any stride too. weight: [head_dim] fp32.
/// cos, sin: [tokens, head_dim / 2] fp32, contiguous.
/// On a CUDA device this is one kernel; rms_norm_rope_aten defines it.
void rms_norm_rope(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& cos, const at::Tensor& sin,
                   const at::Tensor& out);
void rms_norm_rope_aten(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& cos, const at::Tensor& sin,
                        const at::Tensor& out);

}  // namespace flux
