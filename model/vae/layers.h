#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <utility>

#include "model/checkpoint/weights.h"
#include "model/kernels/group_norm.h"

namespace flux {

/// How a map lies in memory: on a card the channels of a pixel are neighbours, which the tensor cores want.
at::MemoryFormat map_format(at::Device device);

/// A convolution with stride 1 that keeps height and width.
class Convolution {
 public:
  Convolution(const Weights& weights, int64_t out, int64_t in, int64_t kernel);
  at::Tensor operator()(const at::Tensor& x) const;  // [1, in, h, w] to [1, out, h, w]

  /// Without the bias, for who reads the map next and adds it there.
  at::Tensor unbiased(const at::Tensor& x) const;
  const at::Tensor& bias() const { return wide_bias_; }  // [out] fp32

 private:
  at::Tensor weight_, bias_, wide_bias_;
  int64_t padding_;
};

/// Twice the height and width: every pixel four times, then a convolution, a stripe of rows after the other, so that
/// the enlarged map is never there in full. diffusers: Upsample2D.
class Upsampler {
 public:
  Upsampler(const Weights& weights, int64_t channels) : convolution_(weights["conv"], channels, channels, 3) {}
  at::Tensor operator()(const at::Tensor& x) const;

 private:
  Convolution convolution_;
};

/// Normalises groups of channels over the whole map.
class GroupNorm {
 public:
  enum class Then { nothing, silu };

  GroupNorm(const Weights& weights, int64_t channels, int64_t groups, Then then);

  /// x: [1, channels, h, w]. offset: [channels] fp32, added to x first; or undefined.
  at::Tensor operator()(at::Tensor x, const at::Tensor& offset = {}) const {
    return group_norm(std::move(x), offset, norm_);
  }

 private:
  GroupNormalization norm_;
};

/// x + conv(silu(norm(conv(silu(norm(x)))))), x through a 1 x 1 convolution where channels change.
/// diffusers: ResnetBlock2D without a time embedding.
class ResnetBlock {
 public:
  ResnetBlock(const Weights& weights, int64_t out, int64_t in, int64_t groups);

  /// x that is given away (std::move) makes room for what is computed of it.
  at::Tensor operator()(at::Tensor x) const;

 private:
  GroupNorm norm_1_;
  Convolution conv_1_;
  GroupNorm norm_2_;
  Convolution conv_2_;
  std::optional<Convolution> shortcut_;
};

/// x + attention(norm(x)) over all pixels of the map, one head. diffusers: Attention of UNetMidBlock2D.
class PixelAttention {
 public:
  PixelAttention(const Weights& weights, int64_t channels, int64_t groups);
  at::Tensor operator()(const at::Tensor& x) const;

 private:
  struct Projection {
    at::Tensor operator()(const at::Tensor& x) const { return at::linear(x, weight, bias); }

    at::Tensor weight, bias;
  };
  static Projection projection(const Weights& weights, int64_t channels);

  /// to_out of to_v: a pixel's attention adds up to 1, so that attending to these is to_out of the attention.
  static Projection projected_values(const Weights& weights, int64_t channels);

  GroupNorm norm_;
  Projection q_, k_, values_;
};

}  // namespace flux
