#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <vector>

#include "model/checkpoint/weights.h"
#include "model/config.h"
#include "model/vae/layers.h"

namespace flux {

/// Latents to pixels. diffusers: AutoencoderKL.decode.
class VaeDecoder {
 public:
  /// `weights`: of the whole VAE; its encoder is never read.
  VaeDecoder(const Weights& weights, const VaeConfig& config);

  /// latents: [1, latent_channels, h, w] in the compute dtype, already divided by scaling_factor and shifted.
  /// Returns [1, out_channels, f h, f w] in the compute dtype, f = 2^(blocks - 1), in about -1 ... 1.
  at::Tensor operator()(const at::Tensor& latents) const;

 private:
  struct UpBlock {
    at::Tensor operator()(at::Tensor x) const;
    std::vector<ResnetBlock> resnets;
    std::optional<Upsampler> upsampler;  // all but the last block's
  };

  std::optional<Convolution> post_quant_conv_;
  Convolution conv_in_;
  ResnetBlock middle_1_;
  std::optional<PixelAttention> middle_attention_;
  ResnetBlock middle_2_;
  std::vector<UpBlock> up_blocks_;
  GroupNorm norm_out_;
  Convolution conv_out_;
};

}  // namespace flux
