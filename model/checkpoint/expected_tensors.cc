#include "model/checkpoint/expected_tensors.h"

#include <c10/util/Exception.h>

#include <utility>

namespace flux {
namespace {

/// Collects tensors by the kind of layer that they belong to.
class Layers {
 public:
  void tensor(std::string name, std::vector<int64_t> shape) { tensors_.push_back({std::move(name), std::move(shape)}); }

  void matrix(const std::string& layer, int64_t out, int64_t in) { tensor(layer + ".weight", {out, in}); }
  void scale(const std::string& layer, int64_t n) { tensor(layer + ".weight", {n}); }

  void linear(const std::string& layer, int64_t out, int64_t in) {
    matrix(layer, out, in);
    tensor(layer + ".bias", {out});
  }

  void norm(const std::string& layer, int64_t n) {
    scale(layer, n);
    tensor(layer + ".bias", {n});
  }

  void conv(const std::string& layer, int64_t out, int64_t in, int64_t kernel) {
    tensor(layer + ".weight", {out, in, kernel, kernel});
    tensor(layer + ".bias", {out});
  }

  std::vector<ExpectedTensor> take() { return std::move(tensors_); }

 private:
  std::vector<ExpectedTensor> tensors_;
};

std::string at(const std::string& list, int64_t index) { return list + "." + std::to_string(index) + "."; }

std::vector<ExpectedTensor> transformer(const TransformerConfig& config) {
  constexpr int64_t sinusoid = 256;  // channels of the timestep's and guidance's embedding
  const int64_t d = config.hidden_size(), head = config.attention_head_dim;
  Layers layers;
  const auto embedder = [&](const std::string& name, int64_t in) {
    layers.linear("time_text_embed." + name + ".linear_1", d, in);
    layers.linear("time_text_embed." + name + ".linear_2", d, d);
  };
  embedder("timestep_embedder", sinusoid);
  if (config.guidance_embeds) embedder("guidance_embedder", sinusoid);
  embedder("text_embedder", config.pooled_projection_dim);
  layers.linear("context_embedder", d, config.joint_attention_dim);
  layers.linear("x_embedder", d, config.in_channels);

  for (int64_t i = 0; i < config.num_layers; ++i) {
    const std::string block = at("transformer_blocks", i);
    for (const char* norm : {"norm1.linear", "norm1_context.linear"}) layers.linear(block + norm, 6 * d, d);
    for (const char* norm : {"norm_q", "norm_k", "norm_added_q", "norm_added_k"}) {
      layers.scale(block + "attn." + norm, head);
    }
    for (const char* projection :
         {"to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"}) {
      layers.linear(block + "attn." + projection, d, d);
    }
    for (const char* stream : {"ff", "ff_context"}) {
      layers.linear(block + stream + ".net.0.proj", 4 * d, d);
      layers.linear(block + stream + ".net.2", d, 4 * d);
    }
  }
  for (int64_t i = 0; i < config.num_single_layers; ++i) {
    const std::string block = at("single_transformer_blocks", i);
    layers.linear(block + "norm.linear", 3 * d, d);
    for (const char* norm : {"norm_q", "norm_k"}) layers.scale(block + "attn." + norm, head);
    for (const char* projection : {"to_q", "to_k", "to_v"}) layers.linear(block + "attn." + projection, d, d);
    layers.linear(block + "proj_mlp", 4 * d, d);
    layers.linear(block + "proj_out", d, 5 * d);
  }
  layers.linear("norm_out.linear", 2 * d, d);
  layers.linear("proj_out", config.in_channels, d);
  return layers.take();
}

std::vector<ExpectedTensor> clip(const ClipConfig& config) {
  const int64_t d = config.hidden_size;
  Layers layers;
  layers.matrix("text_model.embeddings.token_embedding", config.vocab_size, d);
  layers.matrix("text_model.embeddings.position_embedding", config.max_position_embeddings, d);
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const std::string layer = at("text_model.encoder.layers", i);
    for (const char* projection : {"q_proj", "k_proj", "v_proj", "out_proj"}) {
      layers.linear(layer + "self_attn." + projection, d, d);
    }
    for (const char* norm : {"layer_norm1", "layer_norm2"}) layers.norm(layer + norm, d);
    layers.linear(layer + "mlp.fc1", config.intermediate_size, d);
    layers.linear(layer + "mlp.fc2", d, config.intermediate_size);
  }
  layers.norm("text_model.final_layer_norm", d);
  return layers.take();
}

std::vector<ExpectedTensor> t5(const T5Config& config) {
  const int64_t d = config.d_model, inner = config.num_heads * config.d_kv;
  Layers layers;
  layers.matrix("shared", config.vocab_size, d);
  for (int64_t i = 0; i < config.num_layers; ++i) {
    const std::string attention = at("encoder.block", i) + "layer.0.",
                      feed_forward = at("encoder.block", i) + "layer.1.";
    for (const char* projection : {"q", "k", "v"}) layers.matrix(attention + "SelfAttention." + projection, inner, d);
    layers.matrix(attention + "SelfAttention.o", d, inner);
    if (i == 0) {  // the other layers use the first one's
      layers.matrix(attention + "SelfAttention.relative_attention_bias", config.relative_attention_num_buckets,
                    config.num_heads);
    }
    layers.scale(attention + "layer_norm", d);
    for (const char* up : {"wi_0", "wi_1"}) layers.matrix(feed_forward + "DenseReluDense." + up, config.d_ff, d);
    layers.matrix(feed_forward + "DenseReluDense.wo", d, config.d_ff);
    layers.scale(feed_forward + "layer_norm", d);
  }
  layers.scale("encoder.final_layer_norm", d);
  return layers.take();
}

void resnet(Layers& layers, const std::string& name, int64_t out, int64_t in) {
  layers.norm(name + "norm1", in);
  layers.conv(name + "conv1", out, in, 3);
  layers.norm(name + "norm2", out);
  layers.conv(name + "conv2", out, out, 3);
  if (in != out) layers.conv(name + "conv_shortcut", out, in, 1);
}

std::vector<ExpectedTensor> vae_decoder(const VaeConfig& config) {
  const auto& channels = config.block_out_channels;
  const int64_t deepest = channels.back();
  Layers layers;
  if (config.use_post_quant_conv) layers.conv("post_quant_conv", config.latent_channels, config.latent_channels, 1);
  layers.conv("decoder.conv_in", deepest, config.latent_channels, 3);
  for (int64_t i = 0; i < 2; ++i) resnet(layers, at("decoder.mid_block.resnets", i), deepest, deepest);
  if (config.mid_block_add_attention) {
    const std::string attention = "decoder.mid_block.attentions.0.";
    layers.norm(attention + "group_norm", deepest);
    for (const char* projection : {"to_q", "to_k", "to_v", "to_out.0"}) {
      layers.linear(attention + projection, deepest, deepest);
    }
  }
  int64_t in = deepest;
  const auto blocks = static_cast<int64_t>(channels.size());
  for (int64_t i = 0; i < blocks; ++i) {
    const int64_t out = channels[blocks - 1 - i];
    const std::string block = at("decoder.up_blocks", i);
    for (int64_t j = 0; j <= config.layers_per_block; ++j)
      resnet(layers, at(block + "resnets", j), out, j == 0 ? in : out);
    if (i + 1 < blocks) layers.conv(block + "upsamplers.0.conv", out, out, 3);
    in = out;
  }
  layers.norm("decoder.conv_norm_out", channels.front());
  layers.conv("decoder.conv_out", config.out_channels, channels.front(), 3);
  return layers.take();
}

}  // namespace

std::vector<ExpectedTensor> expected_tensors(const ModelFolder& folder, const std::string& component) {
  if (component == "transformer") return transformer(folder.transformer);
  if (component == "text_encoder") return clip(folder.text_encoder);
  if (component == "text_encoder_2") return t5(folder.text_encoder_2);
  TORCH_INTERNAL_ASSERT(component == "vae", "no component ", component);
  return vae_decoder(folder.vae);
}

}  // namespace flux
