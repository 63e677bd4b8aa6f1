#pragma once

#include <ATen/ATen.h>

namespace flux {

/// out = softmax(q k^T / sqrt(head_dim)) v for every head. q: [rows, heads, head_dim], k, v: [tokens, heads, head_dim],
/// heads packed, rows and tokens any stride; out as q. No row's result depends on how many there are. All of one 16-bit
/// dtype or fp32, or all codes (attention_codes.h), of which the softmax's weights are e4m3(448 weight / largest) too.
/// On cards that cuDNN has a kernel for it goes straight
/// to `out` (cudnn_attention.h); elsewhere ATen's result is copied there.
void attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& out);

/// Whose kernel attends with queries like `q`: "cuDNN" or "ATen".
const char* attention_library(const at::Tensor& q);

}  // namespace flux
