#include "model/text/t5_encoder.h"

#include <cmath>
#include <string>

namespace flux {

T5Encoder::T5Encoder(const Weights& weights, const T5Config& config)
    : config_(config),
      compute_(weights.placing().compute),
      embedding_(weights.tensor("shared.weight", {config.vocab_size, config.d_model})),
      relative_attention_(weights["encoder"]["block"][0]["layer"][0]["SelfAttention"].tensor(
          "relative_attention_bias.weight", {config.relative_attention_num_buckets, config.num_heads})),
      blocks_(weights["encoder"]["block"], config.num_layers,
              [&](const Weights& blocks, int64_t index) { return block(blocks[index], config); }),
      final_norm_(weights["encoder"].in(at::kFloat).tensor("final_layer_norm.weight", {config.d_model})) {}

T5Encoder::Block T5Encoder::block(const Weights& block, const T5Config& config) {
  const auto layers = block["layer"];
  const auto d = config.d_model;
  const auto inner = config.num_heads * config.d_kv;
  const auto attention = layers[0]["SelfAttention"];
  const auto dense = layers[1]["DenseReluDense"];
  return {
      .attention_norm = layers[0].in(at::kFloat).tensor("layer_norm.weight", {d}),
      .qkv = Linear(attention, {"q", "k", "v"}, 3 * inner, d, Bias::absent),
      .o = Linear(attention, {"o"}, d, inner, Bias::absent),
      .feed_forward_norm = layers[1].in(at::kFloat).tensor("layer_norm.weight", {d}),
      .wi = Linear(dense, {"wi_0", "wi_1"}, 2 * config.d_ff, d, Bias::absent),
      .wo = Linear(layers.placing().compute == at::kHalf ? dense.in(at::kFloat) : dense, {"wo"}, d, config.d_ff,
                   Bias::absent),
  };
}

at::Tensor T5Encoder::operator()(const at::Tensor& ids) const {
  const auto bias = position_bias(ids.size(0));
  auto hidden = at::embedding(embedding_, ids).to(at::kFloat);
  blocks_.for_each([&](const Block& block) {
    hidden = hidden + attention(block, norm(hidden, block.attention_norm), bias);
    hidden = hidden + feed_forward(block, norm(hidden, block.feed_forward_norm));
  });
  return norm(hidden, final_norm_);
}

at::Tensor T5Encoder::norm(const at::Tensor& hidden, const at::Tensor& weight) const {
  const auto variance = hidden.square().mean(-1, /*keepdim=*/true);
  return (hidden * at::rsqrt(variance + config_.layer_norm_epsilon) * weight).to(compute_);
}

at::Tensor T5Encoder::attention(const Block& block, const at::Tensor& x, const at::Tensor& bias) const {
  const auto qkv = block.qkv(x).view({1, x.size(0), 3, config_.num_heads, config_.d_kv}).permute({2, 0, 3, 1, 4});
  const auto attended = at::scaled_dot_product_attention(qkv[0], qkv[1], qkv[2], bias, /*dropout_p=*/0.0,
                                                         /*is_causal=*/false, /*scale=*/1.0);
  return block.o(attended.squeeze(0).transpose(0, 1).flatten(1));
}

at::Tensor T5Encoder::feed_forward(const Block& block, const at::Tensor& x) const {
  const auto up = block.wi(x).chunk(2, /*dim=*/1);
  const auto wide = compute_ == at::kHalf ? at::kFloat : compute_;
  return block.wo(at::gelu(up[0], "tanh").to(wide) * up[1]);
}

at::Tensor T5Encoder::position_bias(int64_t tokens) const {
  const auto position = at::arange(tokens, at::TensorOptions(at::kLong).device(embedding_.device()));
  const auto bucket =
      relative_position_bucket(position.unsqueeze(0) - position.unsqueeze(1), config_.relative_attention_num_buckets,
                               config_.relative_attention_max_distance);
  return at::embedding(relative_attention_, bucket).permute({2, 0, 1}).unsqueeze(0).contiguous();
}

at::Tensor relative_position_bucket(const at::Tensor& relative_position, int64_t buckets, int64_t max_distance) {
  const auto half = buckets / 2;
  const auto max_exact = half / 2;
  const auto distance = relative_position.abs();
  const auto exact = static_cast<double>(max_exact);
  const auto logarithmic = at::log(distance.clamp_min(1).to(at::kFloat) / exact) /
                           std::log(static_cast<double>(max_distance) / exact) * static_cast<double>(half - max_exact);
  const auto far = (max_exact + logarithmic.to(at::kLong)).clamp_max(half - 1);
  return (relative_position > 0).to(at::kLong) * half + at::where(distance < max_exact, distance, far);
}

}  // namespace flux
