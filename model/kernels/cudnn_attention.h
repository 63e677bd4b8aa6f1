#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace flux {

/// Of so many values of so many bytes.
constexpr bool cudnn_takes_heads(int64_t head_dim, int64_t bytes) {
  return head_dim * bytes % 16 == 0 && head_dim <= 128;
}

/// Whether attention of such queries goes by cuDNN: in 16 bit and in fp8 on Hopper, where its kernels are the fastest
/// there are.
bool cudnn_attends(const at::Tensor& q);

/// attention.h by cuDNN, queued on ATen's current stream; a CUDA graph can hold it. Throws what cuDNN says where it
/// cannot.
void cudnn_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& out);

}  // namespace flux
