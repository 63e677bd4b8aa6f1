#include "model/vae/vae_decoder.h"

#include <utility>

namespace flux {

VaeDecoder::VaeDecoder(const Weights& weights, const VaeConfig& config)
    : conv_in_(weights["decoder"]["conv_in"], config.block_out_channels.back(), config.latent_channels, 3),
      middle_1_(weights["decoder"]["mid_block"]["resnets"][0], config.block_out_channels.back(),
                config.block_out_channels.back(), config.norm_num_groups),
      middle_2_(weights["decoder"]["mid_block"]["resnets"][1], config.block_out_channels.back(),
                config.block_out_channels.back(), config.norm_num_groups),
      norm_out_(weights["decoder"]["conv_norm_out"], config.block_out_channels.front(), config.norm_num_groups,
                GroupNorm::Then::silu),
      conv_out_(weights["decoder"]["conv_out"], config.out_channels, config.block_out_channels.front(), 3) {
  if (config.use_post_quant_conv) {
    post_quant_conv_.emplace(weights["post_quant_conv"], config.latent_channels, config.latent_channels, 1);
  }
  auto channels = config.block_out_channels.back();
  if (config.mid_block_add_attention) {
    middle_attention_.emplace(weights["decoder"]["mid_block"]["attentions"][0], channels, config.norm_num_groups);
  }

  const auto blocks = static_cast<int64_t>(config.block_out_channels.size());
  for (int64_t i = 0; i < blocks; ++i) {
    const auto from = weights["decoder"]["up_blocks"][i];
    const auto out = config.block_out_channels[blocks - 1 - i];
    auto& block = up_blocks_.emplace_back();
    for (int64_t layer = 0; layer <= config.layers_per_block; ++layer) {  // one more than the encoder's blocks have
      block.resnets.emplace_back(from["resnets"][layer], out, channels, config.norm_num_groups);
      channels = out;
    }
    if (i + 1 < blocks) block.upsampler.emplace(from["upsamplers"][0], out);
  }
}

at::Tensor VaeDecoder::UpBlock::operator()(at::Tensor x) const {
  for (const auto& resnet : resnets) x = resnet(std::move(x));
  return upsampler ? (*upsampler)(x) : x;
}

at::Tensor VaeDecoder::operator()(const at::Tensor& latents) const {
  auto x = latents.contiguous(map_format(latents.device()));
  x = conv_in_(post_quant_conv_ ? (*post_quant_conv_)(x) : x);

  x = middle_1_(std::move(x));
  if (middle_attention_) x = (*middle_attention_)(x);
  x = middle_2_(std::move(x));

  for (const auto& block : up_blocks_) x = block(std::move(x));
  return conv_out_(norm_out_(std::move(x)));
}

}  // namespace flux
