#include "model/config.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <string>

#include "model/checkpoint/component.h"
#include "model/checkpoint/fp8.h"
#include "model/config_fields.h"
#include "model/files/printable.h"
#include "model/files/readable_file.h"
#include "model/hugging_face_cache.h"
#include "model/kernels/outlier_threshold.h"
#include "model/kernels/rotation.h"
#include "model/schedule.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

namespace fs = std::filesystem;

constexpr int64_t most_layers = 1024;
constexpr int64_t most_channels = 1 << 16;
constexpr int64_t fewest_clip_tokens = 2;  // its special tokens
constexpr int64_t most_tokens = 1 << 20;
constexpr size_t most_blocks = 8;  // of the VAE: the default picture is then 16384 pixels wide

/// The folder of a path or a model id, which holds model_index.json.
fs::path model_folder(const fs::path& model) {
  std::error_code ignored;
  const std::string name = model.string();
  if (fs::is_regular_file(model, ignored)) {
    throw Invalid(name + ": is a file; give the folder of a FLUX.1 model in the diffusers layout (model_index.json)");
  }
  const bool id = !present(model) && is_model_id(name);
  const fs::path folder = id ? cached_model(name, std::nullopt) : model;
  if (!fs::is_directory(folder, ignored)) throw Invalid(name + ": there is no such folder");
  if (!present(folder / "model_index.json")) {
    throw Invalid(folder.string() +
                  ": has no model_index.json; give the folder of a FLUX.1 model in the diffusers "
                  "layout, completely downloaded");
  }
  return folder;
}

void check_model_index(const fs::path& folder) {
  const ConfigFields index(folder / "model_index.json");
  if (!index.has("_class_name")) index.fail("_class_name", "is missing");
  index.one_of("_class_name", {"FluxPipeline"});
  const auto check = [&](const char* component, const std::vector<std::string>& classes) {
    const auto found = index.texts(component, {});
    if (found.size() != 2 || std::find(classes.begin(), classes.end(), found[1]) == classes.end()) {
      index.fail(component, "must be of the class " + classes[0]);
    }
  };
  check("scheduler", {"FlowMatchEulerDiscreteScheduler"});
  check("text_encoder", {"CLIPTextModel"});
  check("text_encoder_2", {"T5EncoderModel"});
  check("tokenizer", {"CLIPTokenizer", "CLIPTokenizerFast"});
  check("tokenizer_2", {"T5TokenizerFast", "T5Tokenizer"});
  check("transformer", {"FluxTransformer2DModel"});
  check("vae", {"AutoencoderKL"});
}

using By = Quantization::By;

/// What `flux-dist quantize` writes.
Quantization read_own_quantization(const ConfigFields& fields) {
  if (fields.number("version", 0) != Quantization::own_version)
    fields.fail("version", "must be " + std::to_string(Quantization::own_version) +
                               "; quantize the model again with this program");
  const std::string rotation = fields.text("rotation", "");
  if (rotation != rotation_name)
    fields.fail("rotation", quoted_name(rotation) + " is not the one computed with (" + rotation_name +
                                "); quantize the model again with this program");
  const auto format = [&](const char* field) {
    const std::string name =
        fields.one_of(field, {"none", "int8", "fp8", "int8-weights", "int8-outliers", "fp8-weights", "nf4", "fp4"});
    for (const Format each : {Format::int8, Format::fp8, Format::int8_weights, Format::int8_outliers,
                              Format::fp8_weights, Format::nf4, Format::fp4})
      if (name == format_name(each)) return each;
    return Format::dense;
  };
  const Quantization read{By::flux_dist, format("format"), format("modulation"), true};
  if (read.modulation == Format::int8_outliers)
    fields.fail("modulation", "int8-outliers is not computed of the modulation; quantize the model again");
  return read;
}

Quantization read_quantization(const ConfigFields& config) {
  if (!config.has("quantization_config")) return {};
  const ConfigFields fields = config.object("quantization_config");
  constexpr auto otherwise = "take the folder that is not quantized, and give --quantize";
  const std::string method = fields.text("quant_method", "bitsandbytes");
  if (method == "fp8")
    fields.fail("quant_method",
                "'fp8' has a scale for each block of a matrix, which is not computed with; take files in "
                "F8_E4M3 with a scale a matrix or a row; otherwise " +
                    std::string(otherwise));
  if (method == "flux-dist") return read_own_quantization(fields);
  if (method != "bitsandbytes")
    fields.fail("quant_method", quoted_name(method) + " is not implemented (bitsandbytes, flux-dist); " + otherwise);
  const bool four = fields.flag("load_in_4bit", false), eight = fields.flag("load_in_8bit", false);
  if (four == eight) fields.fail("load_in_4bit", "either it or load_in_8bit must be true");
  if (eight) {
    fields.must_be("llm_int8_has_fp16_weight", false);
    return {By::bitsandbytes, Format::int8_weights, Format::int8_weights, false,
            fields.number("llm_int8_threshold", outlier_threshold)};
  }
  const std::string storage = fields.text("bnb_4bit_quant_storage", "uint8");
  if (storage != "uint8")
    fields.fail("bnb_4bit_quant_storage", quoted_name(storage) + " is not implemented (uint8); " + otherwise);
  const Format format = fields.one_of("bnb_4bit_quant_type", {"fp4", "nf4"}) == "nf4" ? Format::nf4 : Format::fp4;
  return {By::bitsandbytes, format, format, fields.flag("bnb_4bit_use_double_quant", false)};
}

/// Files in fp8 say so in their headers alone. What is wrong with files is said to who opens them to read weights.
Quantization with_headers(const Quantization& by_config, const fs::path& component) {
  if (by_config.any()) return by_config;
  try {
    if (!holds_fp8(*open_component(component))) return by_config;
    return {By::fp8, Format::fp8_weights, Format::fp8_weights};
  } catch (const Invalid&) {
    return by_config;
  }
}

/// Of components that are computed with as they are.
void require_unquantized(const ConfigFields& config) {
  if (config.has("quantization_config"))
    config.fail("quantization_config",
                "only transformer and text_encoder_2 are read quantized; take this component "
                "from the published folder");
}

TransformerConfig read_transformer(const ConfigFields& fields) {
  fields.one_of("_class_name", {"FluxTransformer2DModel"});
  TransformerConfig config;
  config.in_channels = fields.size("in_channels", 64, most_channels);
  config.num_layers = fields.size("num_layers", 19, 0, most_layers);
  config.num_single_layers = fields.size("num_single_layers", 38, 0, most_layers);
  config.attention_head_dim = fields.size("attention_head_dim", 128, most_channels);
  config.num_attention_heads = fields.size("num_attention_heads", 24, most_channels);
  config.joint_attention_dim = fields.size("joint_attention_dim", 4096, most_channels);
  config.pooled_projection_dim = fields.size("pooled_projection_dim", 768, most_channels);
  config.guidance_embeds = fields.flag("guidance_embeds", false);
  config.quantization = read_quantization(fields);
  const auto axes = fields.sizes("axes_dims_rope", {16, 56, 56});

  if (fields.size("patch_size", 1) != 1) fields.fail("patch_size", "only 1 is implemented");
  if (fields.size("out_channels", config.in_channels) != config.in_channels) {
    fields.fail("out_channels", "only in_channels (" + std::to_string(config.in_channels) + ") is implemented");
  }
  if (config.in_channels % 4 != 0) fields.fail("in_channels", "must be a multiple of 4: a token is 2 x 2 latents");
  if (config.hidden_size() > most_channels) fields.fail("num_attention_heads", "times attention_head_dim is too large");
  const bool pairs = std::all_of(axes.begin(), axes.end(), [](int64_t size) { return size % 2 == 0; });
  if (axes.size() != 3 || !pairs ||
      std::accumulate(axes.begin(), axes.end(), int64_t{0}) != config.attention_head_dim) {
    fields.fail("axes_dims_rope", "must be three even sizes that add up to attention_head_dim (" +
                                      std::to_string(config.attention_head_dim) + ")");
  }
  std::copy(axes.begin(), axes.end(), config.axes_dims_rope.begin());
  return config;
}

/// transformers' T5Config.__post_init__: feed_forward_proj says both, dense_act_fn and is_gated_act override it.
void check_feed_forward(const ConfigFields& fields) {
  const std::string projection = fields.text("feed_forward_proj", "relu");
  const bool gated = fields.flag("is_gated_act", projection.starts_with("gated-"));
  const std::string written = projection.substr(projection.rfind('-') + 1);
  const std::string act = fields.text("dense_act_fn", projection == "gated-gelu" ? "gelu_new" : written);
  if (!gated) {
    fields.fail(fields.has("is_gated_act") ? "is_gated_act" : "feed_forward_proj", "only gated-gelu is implemented");
  }
  if (act != "gelu_new" && act != "gelu_pytorch_tanh") {  // two names of one function
    fields.fail(fields.has("dense_act_fn") ? "dense_act_fn" : "feed_forward_proj", "only gated-gelu is implemented");
  }
}

T5Config read_t5(const ConfigFields& fields) {
  fields.one_of("model_type", {"t5"});
  fields.must_be("is_decoder", false);
  for (const auto& [other, name] : {std::pair{"hidden_size", "d_model"},
                                    {"head_dim", "d_kv"},
                                    {"num_attention_heads", "num_heads"},
                                    {"num_hidden_layers", "num_layers"}}) {
    if (fields.has(other)) fields.fail(other, std::string("is another name of ") + name + "; only that is read");
  }
  check_feed_forward(fields);
  T5Config config;
  config.vocab_size = fields.size("vocab_size", 32128);
  config.d_model = fields.size("d_model", 512, most_channels);
  config.d_kv = fields.size("d_kv", 64, most_channels);
  config.d_ff = fields.size("d_ff", 2048);
  config.num_layers = fields.size("num_layers", 6, most_layers);
  config.num_heads = fields.size("num_heads", 8, most_channels);
  config.relative_attention_num_buckets = fields.size("relative_attention_num_buckets", 32, 4, most_channels);
  config.relative_attention_max_distance = fields.size("relative_attention_max_distance", 128);
  config.layer_norm_epsilon = fields.positive("layer_norm_epsilon", 1e-6);
  config.quantization = read_quantization(fields);

  if (config.d_kv * config.num_heads > 1 << 20) fields.fail("num_heads", "times d_kv is too large");
  // Up to a quarter of the buckets a distance has its own, further ones share by the logarithm: see T5Encoder.
  if (config.relative_attention_max_distance <= config.relative_attention_num_buckets / 4) {
    fields.fail("relative_attention_max_distance", "must be larger than a quarter of relative_attention_num_buckets");
  }
  return config;
}

ClipConfig read_clip(const ConfigFields& fields) {
  fields.one_of("model_type", {"clip_text_model"});
  require_unquantized(fields);
  ClipConfig config;
  config.vocab_size = fields.size("vocab_size", 49408);
  config.hidden_size = fields.size("hidden_size", 512, most_channels);
  config.intermediate_size = fields.size("intermediate_size", 2048);
  config.num_hidden_layers = fields.size("num_hidden_layers", 12, most_layers);
  config.num_attention_heads = fields.size("num_attention_heads", 8, most_channels);
  config.max_position_embeddings = fields.size("max_position_embeddings", 77, fewest_clip_tokens, most_tokens);
  config.eos_token_id = fields.size("eos_token_id", 49407, 0, 1 << 20);
  config.layer_norm_eps = fields.positive("layer_norm_eps", 1e-5);
  config.quick_gelu = fields.one_of("hidden_act", {"quick_gelu", "gelu"}) == "quick_gelu";

  if (config.hidden_size % config.num_attention_heads != 0) {
    fields.fail("num_attention_heads", "must divide hidden_size (" + std::to_string(config.hidden_size) + ")");
  }
  return config;
}

VaeConfig read_vae(const ConfigFields& fields) {
  fields.one_of("_class_name", {"AutoencoderKL"});
  require_unquantized(fields);
  fields.one_of("act_fn", {"silu", "swish"});
  VaeConfig config;
  config.latent_channels = fields.size("latent_channels", 4, most_channels);
  config.out_channels = fields.size("out_channels", 3);
  config.block_out_channels = fields.sizes("block_out_channels", {64});
  config.layers_per_block = fields.size("layers_per_block", 1, 0, most_layers);
  config.norm_num_groups = fields.size("norm_num_groups", 32, most_channels);
  config.mid_block_add_attention = fields.flag("mid_block_add_attention", true);
  config.use_post_quant_conv = fields.flag("use_post_quant_conv", true);
  config.scaling_factor = fields.positive("scaling_factor", 0.18215);
  config.shift_factor = fields.required_number("shift_factor");

  if (config.out_channels != 3) fields.fail("out_channels", "only 3 (RGB) is implemented");
  if (config.block_out_channels.size() > most_blocks) {
    fields.fail("block_out_channels", "at most " + std::to_string(most_blocks) + " blocks are implemented");
  }
  for (const int64_t channels : config.block_out_channels) {
    if (channels > most_channels || channels % config.norm_num_groups != 0) {
      fields.fail("block_out_channels", "must be multiples of norm_num_groups (" +
                                            std::to_string(config.norm_num_groups) + "), at most " +
                                            std::to_string(most_channels));
    }
  }
  const auto blocks = fields.texts("up_block_types", {"UpDecoderBlock2D"});
  const bool plain = std::all_of(blocks.begin(), blocks.end(), [](auto& type) { return type == "UpDecoderBlock2D"; });
  if (!plain) fields.fail("up_block_types", "only UpDecoderBlock2D is implemented");
  if (blocks.size() != config.block_out_channels.size()) {
    fields.fail("block_out_channels", "must be one for each of up_block_types (" + std::to_string(blocks.size()) + ")");
  }
  return config;
}

/// Whatever the numbers are, what comes of them must be numbers too.
void check_sigmas(const ConfigFields& fields, const SchedulerConfig& config) {
  constexpr int64_t steps = 1000;
  const auto check = [&](const char* field, int64_t image_tokens) {
    try {
      sigmas(config, steps, image_tokens);
    } catch (const Invalid& error) {
      fields.fail(field, error.what());
    }
  };
  check(config.use_dynamic_shifting ? "base_shift" : "shift", config.base_image_seq_len);
  check(config.use_dynamic_shifting ? "max_shift" : "shift", config.max_image_seq_len);
}

SchedulerConfig read_scheduler(const ConfigFields& fields) {
  fields.one_of("_class_name", {"FlowMatchEulerDiscreteScheduler"});
  for (const char* flag : {"invert_sigmas", "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas",
                           "use_flow_sigmas", "stochastic_sampling"}) {
    fields.must_be(flag, false);
  }
  if (fields.number("shift_terminal", 0) != 0) fields.fail("shift_terminal", "is not implemented");
  fields.one_of("time_shift_type", {"exponential"});
  SchedulerConfig config;
  config.num_train_timesteps = fields.size("num_train_timesteps", 1000);
  config.shift = fields.positive("shift", 1.0);
  config.use_dynamic_shifting = fields.flag("use_dynamic_shifting", false);
  config.base_shift = fields.number("base_shift", 0.5);
  config.max_shift = fields.number("max_shift", 1.15);
  config.base_image_seq_len = fields.size("base_image_seq_len", 256, int64_t{1} << 32);
  config.max_image_seq_len = fields.size("max_image_seq_len", 4096, int64_t{1} << 32);
  if (config.base_image_seq_len == config.max_image_seq_len) {
    fields.fail("max_image_seq_len", "must differ from base_image_seq_len");
  }
  check_sigmas(fields, config);
  return config;
}

/// Sizes that two components must agree on.
void check_agreement(const ModelFolder& folder, const ConfigFields& transformer) {
  const auto agree = [&](const char* field, int64_t value, const std::string& other, int64_t expected) {
    if (value == expected) return;
    transformer.fail(field, std::to_string(value) + ", but " + other + " asks for " + std::to_string(expected));
  };
  agree("in_channels", folder.transformer.in_channels, "latent_channels of vae/config.json (times 4)",
        4 * folder.vae.latent_channels);
  agree("joint_attention_dim", folder.transformer.joint_attention_dim, "d_model of text_encoder_2/config.json",
        folder.text_encoder_2.d_model);
  agree("pooled_projection_dim", folder.transformer.pooled_projection_dim, "hidden_size of text_encoder/config.json",
        folder.text_encoder.hidden_size);
}

}  // namespace

ModelFolder::ModelFolder(const fs::path& model) : path(model_folder(model)) {
  check_model_index(path);
  const ConfigFields transformer_fields(path / "transformer" / "config.json");
  transformer = read_transformer(transformer_fields);
  text_encoder_2 = read_t5(ConfigFields(path / "text_encoder_2" / "config.json"));
  text_encoder = read_clip(ConfigFields(path / "text_encoder" / "config.json"));
  vae = read_vae(ConfigFields(path / "vae" / "config.json"));
  scheduler = read_scheduler(ConfigFields(path / "scheduler" / "scheduler_config.json"));
  check_agreement(*this, transformer_fields);
  transformer.quantization = with_headers(transformer.quantization, path / "transformer");
  text_encoder_2.quantization = with_headers(text_encoder_2.quantization, path / "text_encoder_2");
  for (const char* tokenizer : {"tokenizer", "tokenizer_2"}) model_max_length(path / tokenizer, most_tokens);
}

Quantization ModelFolder::quantization_of(std::string_view component) const {
  if (component == "transformer") return transformer.quantization;
  return component == "text_encoder_2" ? text_encoder_2.quantization : Quantization{};
}

int64_t model_max_length(const fs::path& tokenizer, int64_t most) {
  const fs::path file = tokenizer / "tokenizer_config.json";
  if (!present(file)) return most;
  const ConfigFields fields(file);
  const double length = fields.number("model_max_length", static_cast<double>(most));  // 1e30 stands for no limit
  if (length < 2) fields.fail("model_max_length", "must leave room for the special tokens");
  return static_cast<int64_t>(std::min(length, static_cast<double>(most)));
}

}  // namespace flux
