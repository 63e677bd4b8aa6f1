#pragma once

#include <ATen/ATen.h>

namespace flux {

/// The norm of groups of channels over a whole map, eps 1e-6 (diffusers: AutoencoderKL), maybe with silu behind it.
struct GroupNormalization {
  at::Tensor weight, bias;  // [channels] fp32
  int64_t groups = 32;
  bool silu = false;
};

/// Of x + offset by channel, arithmetic in fp32, rounded once. x: [1, channels, height, width] of any floating dtype;
/// on a card channels last, as the result is. offset: [channels] fp32, or undefined. On a card that is two passes over
/// x, and the result lies in x's place where the caller gives x away (std::move) and nobody else holds it.
at::Tensor group_norm(at::Tensor x, const at::Tensor& offset, const GroupNormalization& norm);
at::Tensor group_norm_aten(const at::Tensor& x, const at::Tensor& offset, const GroupNormalization& norm);

/// x + y + offset by channel, likewise, in one pass, in y's place. x, y: [1, channels, height, width].
at::Tensor add_with_offset(const at::Tensor& x, at::Tensor y, const at::Tensor& offset);
at::Tensor add_with_offset_aten(const at::Tensor& x, const at::Tensor& y, const at::Tensor& offset);

}  // namespace flux
