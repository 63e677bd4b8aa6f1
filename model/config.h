#pragma once

// The configs of a FLUX.1 diffusers folder as plain structs. A field that changes arithmetic and has a value which is
// not implemented is an Invalid that names it; fields that change nothing are ignored.

#include <array>
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "model/format.h"

namespace flux {

/// How a component's matrices are quantized already: quantization_config of its config.json, or where there is none
/// tensors in F8_E4M3 in its files' headers.
struct Quantization {
  enum class By { nobody, bitsandbytes, flux_dist, fp8 };

  static constexpr int own_version = 1;  // of what flux-dist quantize writes

  By by = By::nobody;
  Format format = Format::dense;      // of bitsandbytes nf4 or fp4, or int8_weights: its 8 bits
  Format modulation = Format::dense;  // of the transformer's
  bool nested = false;                // bnb_4bit_use_double_quant
  double outlier_threshold = 0;       // llm_int8_threshold, of 8 bits

  bool any() const { return by != By::nobody; }
};

/// diffusers FluxTransformer2DModel
struct TransformerConfig {
  int64_t in_channels = 64;  // of a packed token
  int64_t num_layers = 19;   // double-stream blocks
  int64_t num_single_layers = 38;
  int64_t attention_head_dim = 128;
  int64_t num_attention_heads = 24;
  int64_t joint_attention_dim = 4096;   // T5's width
  int64_t pooled_projection_dim = 768;  // CLIP's width
  bool guidance_embeds = true;
  std::array<int64_t, 3> axes_dims_rope = {16, 56, 56};
  Quantization quantization{};

  int64_t hidden_size() const { return attention_head_dim * num_attention_heads; }
};

/// transformers T5EncoderModel (gated gelu_new feed-forward)
struct T5Config {
  int64_t vocab_size = 32128;
  int64_t d_model = 4096;
  int64_t d_kv = 64;
  int64_t d_ff = 10240;
  int64_t num_layers = 24;
  int64_t num_heads = 64;
  int64_t relative_attention_num_buckets = 32;
  int64_t relative_attention_max_distance = 128;
  double layer_norm_epsilon = 1e-6;
  Quantization quantization{};
};

/// transformers CLIPTextModel
struct ClipConfig {
  int64_t vocab_size = 49408;
  int64_t hidden_size = 768;
  int64_t intermediate_size = 3072;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;
  int64_t max_position_embeddings = 77;
  int64_t eos_token_id = 2;  // 2: pooled at argmax(ids), as FLUX.1's folders; otherwise at the first eos
  double layer_norm_eps = 1e-5;
  bool quick_gelu = true;  // hidden_act: quick_gelu or gelu
};

/// diffusers AutoencoderKL, decoder only
struct VaeConfig {
  int64_t latent_channels = 16;
  int64_t out_channels = 3;
  std::vector<int64_t> block_out_channels = {128, 256, 512, 512};
  int64_t layers_per_block = 2;
  int64_t norm_num_groups = 32;
  bool mid_block_add_attention = true;
  bool use_post_quant_conv = false;
  double scaling_factor = 0.3611;
  double shift_factor = 0.1159;

  /// Pixels: a latent is vae_scale_factor (2 for every block but one) pixels wide, a token two latents.
  int64_t token_side() const { return int64_t{1} << block_out_channels.size(); }
};

/// diffusers FlowMatchEulerDiscreteScheduler
struct SchedulerConfig {
  int64_t num_train_timesteps = 1000;
  double shift = 3.0;
  bool use_dynamic_shifting = true;
  double base_shift = 0.5;
  double max_shift = 1.15;
  int64_t base_image_seq_len = 256;
  int64_t max_image_seq_len = 4096;
};

/// A model folder in the diffusers layout, configs read and checked; of weights no more than headers.
struct ModelFolder {
  /// `model` is a folder, or an id (`black-forest-labs/FLUX.1-dev`) looked up in the local Hugging Face cache
  /// (HF_HUB_CACHE, HF_HOME, ~/.cache/huggingface). Throws Invalid that names the file or field and what to do.
  explicit ModelFolder(const std::filesystem::path& model);

  std::filesystem::path path;  // holds model_index.json
  TransformerConfig transformer;
  T5Config text_encoder_2;
  ClipConfig text_encoder;
  VaeConfig vae;
  SchedulerConfig scheduler;

  Quantization quantization_of(std::string_view component) const;  // of `transformer` and so on

  bool distilled() const { return !transformer.guidance_embeds; }  // FLUX.1-schnell
};

/// How many ids the tokenizer of this folder (`tokenizer`, `tokenizer_2`) cuts a text to: model_max_length of its
/// tokenizer_config.json, at most `most`. Throws Invalid.
int64_t model_max_length(const std::filesystem::path& tokenizer, int64_t most);

}  // namespace flux
