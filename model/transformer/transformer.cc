#include "model/transformer/transformer.h"

#include "model/kernels/residual_norm.h"

namespace flux {

Transformer::Transformer(const Weights& weights, const TransformerConfig& config, bool holds_text)
    : layout_(config),
      x_embedder_(weights.as(Format::dense), {"x_embedder"}, config.hidden_size(), config.in_channels),
      proj_out_(weights.as(Format::dense), {"proj_out"}, config.in_channels, config.hidden_size()) {
  for (int64_t block = 0; block < config.num_layers; ++block) {
    double_blocks_.emplace_back(weights["transformer_blocks"][block], config, holds_text);
  }
  for (int64_t block = 0; block < config.num_single_layers; ++block) {
    single_blocks_.emplace_back(weights["single_transformer_blocks"][block], config);
  }
}

void Transformer::operator()(const at::Tensor& latents, const at::Tensor& txt, const at::Tensor& row,
                             Scratch& scratch) const {
  const int64_t d = layout_.d;
  const auto img_attention = [&](int64_t block) { return ShiftScaleGate(row, layout_.img(block), d); };
  const auto txt_attention = [&](int64_t block) { return ShiftScaleGate(row, layout_.txt(block), d); };
  const auto single = [&](int64_t block) { return ShiftScaleGate(row, layout_.single(block), d); };
  // What reads the residual stream first from some block on. The last layer is dense, whatever the blocks are.
  const auto single_norm = [&](int64_t block, const TokenRows& rows) -> NextNorm {
    if (block < layout_.singles) return {single(block).norm, rows.normed};
    return {{row.narrow(0, layout_.norm_out() + d, d), row.narrow(0, layout_.norm_out(), d)}, rows.last_normed()};
  };
  const auto img_norm = [&](int64_t block) -> NextNorm {
    if (block < layout_.doubles) return {img_attention(block).norm, scratch.img.normed};
    return single_norm(0, scratch.img);
  };
  const auto txt_norm = [&](int64_t block) -> NextNorm {
    if (block < layout_.doubles) return {txt_attention(block).norm, scratch.txt.normed};
    return single_norm(0, scratch.txt);
  };

  scratch.txt.residual.copy_(txt);
  modulated_norm(scratch.txt.residual, txt_norm(0).modulation, txt_norm(0).out);
  scratch.latents.copy_(latents);
  x_embedder_({scratch.latents}, scratch.img.residual);
  modulated_norm(scratch.img.residual, img_norm(0).modulation, img_norm(0).out);

  for (int64_t block = 0; block < layout_.doubles; ++block) {
    double_blocks_[block](scratch,
                          {.img_attention = img_attention(block),
                           .img_mlp = {row, layout_.img(block) + 3 * d, d},
                           .txt_attention = txt_attention(block),
                           .txt_mlp = {row, layout_.txt(block) + 3 * d, d}},
                          {.img = img_norm(block + 1), .txt = txt_norm(block + 1)});
  }
  for (int64_t block = 0; block < layout_.singles; ++block)
    single_blocks_[block](scratch, single(block).gate, single_norm(block + 1, scratch.joint));

  proj_out_(scratch.img.last_normed(), scratch.velocity);
}

}  // namespace flux
