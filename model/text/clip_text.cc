#include "model/text/clip_text.h"

namespace flux {

ClipText::ClipText(const Weights& weights, const ClipConfig& config)
    : config_(config), compute_(weights.placing().compute) {
  const auto model = weights["text_model"];
  const auto d = config.hidden_size;
  token_embedding_ = model["embeddings"].tensor("token_embedding.weight", {config.vocab_size, d});
  position_embedding_ = model["embeddings"].tensor("position_embedding.weight", {config.max_position_embeddings, d});
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    layers_.push_back(layer(model["encoder"]["layers"][i], config));
  }
  final_norm_ = norm(model["final_layer_norm"], d);
}

ClipText::Norm ClipText::norm(const Weights& weights, int64_t size) {
  const auto fp32 = weights.in(at::kFloat);
  return {fp32.tensor("weight", {size}), fp32.tensor("bias", {size})};
}

ClipText::Layer ClipText::layer(const Weights& weights, const ClipConfig& config) {
  const auto d = config.hidden_size;
  return {
      .norm_1 = norm(weights["layer_norm1"], d),
      .qkv = Linear(weights["self_attn"], {"q_proj", "k_proj", "v_proj"}, 3 * d, d),
      .out = Linear(weights["self_attn"], {"out_proj"}, d, d),
      .norm_2 = norm(weights["layer_norm2"], d),
      .fc1 = Linear(weights["mlp"], {"fc1"}, config.intermediate_size, d),
      .fc2 = Linear(weights["mlp"], {"fc2"}, d, config.intermediate_size),
  };
}

at::Tensor ClipText::operator()(const at::Tensor& ids) const {
  auto hidden = at::embedding(token_embedding_, ids).to(at::kFloat) + position_embedding_.narrow(0, 0, ids.size(0));
  for (const auto& layer : layers_) {
    hidden = hidden + attention(layer, normalized(hidden, layer.norm_1));
    hidden = hidden + mlp(layer, normalized(hidden, layer.norm_2));
  }
  return normalized(hidden.index_select(0, pooled_position(ids)), final_norm_).squeeze(0);
}

at::Tensor ClipText::normalized(const at::Tensor& hidden, const Norm& norm) const {
  return at::layer_norm(hidden, {config_.hidden_size}, norm.weight, norm.bias, config_.layer_norm_eps).to(compute_);
}

at::Tensor ClipText::attention(const Layer& layer, const at::Tensor& x) const {
  const auto qkv = layer.qkv(x).view({1, x.size(0), 3, config_.num_attention_heads, -1}).permute({2, 0, 3, 1, 4});
  const auto attended = at::scaled_dot_product_attention(qkv[0], qkv[1], qkv[2], /*attn_mask=*/{}, /*dropout_p=*/0.0,
                                                         /*is_causal=*/true);
  return layer.out(attended.squeeze(0).transpose(0, 1).flatten(1));
}

at::Tensor ClipText::mlp(const Layer& layer, const at::Tensor& x) const {
  const auto up = layer.fc1(x);
  return layer.fc2(config_.quick_gelu ? up * at::sigmoid(1.702 * up) : at::gelu(up));
}

at::Tensor ClipText::pooled_position(const at::Tensor& ids) const {
  // Configs written before transformers 4.31 say 2, which is no end of text: its token is the largest id then.
  const auto score = config_.eos_token_id == 2 ? ids : (ids == config_.eos_token_id).to(at::kLong);
  return score.argmax().unsqueeze(0);
}

}  // namespace flux
