#include "model/transformer/transformer.h"

#include "model/kernels/modulated_layer_norm.h"

namespace flux {

Transformer::Transformer(const Weights& weights, const TransformerConfig& config, bool holds_text)
    : layout_(config),
      x_embedder_(weights, {"x_embedder"}, config.hidden_size(), config.in_channels),
      proj_out_(weights, {"proj_out"}, config.in_channels, config.hidden_size()) {
  for (int64_t block = 0; block < config.num_layers; ++block) {
    double_blocks_.emplace_back(weights["transformer_blocks"][block], config, holds_text);
  }
  for (int64_t block = 0; block < config.num_single_layers; ++block) {
    single_blocks_.emplace_back(weights["single_transformer_blocks"][block], config);
  }
}

void Transformer::operator()(const at::Tensor& latents, const at::Tensor& txt, const at::Tensor& modulation,
                             Scratch& scratch) const {
  const int64_t d = layout_.d;
  const auto row = modulation.to(at::kFloat);

  scratch.txt.residual.copy_(txt);
  x_embedder_(latents.to(scratch.img.normed.scalar_type()), scratch.img.residual);

  for (int64_t block = 0; block < layout_.doubles; ++block) {
    const int64_t img = layout_.img(block);
    const int64_t txt_column = layout_.txt(block);
    double_blocks_[block](scratch, {.img_attention = {row, img, d},
                                    .img_mlp = {row, img + 3 * d, d},
                                    .txt_attention = {row, txt_column, d},
                                    .txt_mlp = {row, txt_column + 3 * d, d}});
  }
  for (int64_t block = 0; block < layout_.singles; ++block) {
    single_blocks_[block](scratch.joint, {row, layout_.single(block), d}, scratch.attention);
  }

  const auto scale = row.narrow(0, layout_.norm_out(), d);
  const auto shift = row.narrow(0, layout_.norm_out() + d, d);
  modulated_layer_norm(scratch.img.residual, shift, scale, scratch.img.normed);
  proj_out_(scratch.img.normed, scratch.velocity);
}

int64_t Transformer::bytes() const {
  int64_t sum = x_embedder_.bytes() + proj_out_.bytes();
  for (const auto& block : double_blocks_) sum += block.bytes();
  for (const auto& block : single_blocks_) sum += block.bytes();
  return sum;
}

}  // namespace flux
