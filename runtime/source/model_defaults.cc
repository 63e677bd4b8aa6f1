#include "runtime/source/model_defaults.h"

#include <algorithm>
#include <random>

#include "model/checkpoint/checkpoint.h"

namespace flux {
namespace {

constexpr int64_t most_tokens = 512;   // FluxPipeline.check_inputs
constexpr int64_t tokens_a_side = 64;  // FluxPipeline.default_sample_size, which counts latents

std::string noise_dtype_of(const ModelFolder& folder) {
  switch (default_noise_dtype(published(folder))) {
    case at::kBFloat16:
      return "bf16";
    case at::kHalf:
      return "fp16";
    default:
      return "fp32";
  }
}

}  // namespace

int64_t longest_sequence(const ModelFolder& folder) {
  return model_max_length(folder.path / "tokenizer_2", most_tokens);
}

void add_model_defaults(Settings& settings, const ModelFolder& folder) {
  const std::string origin = folder.distilled() ? "default of a distilled model" : "default of the model";
  const std::string side = std::to_string(tokens_a_side * folder.vae.token_side());
  const int64_t tokens = std::min<int64_t>(folder.distilled() ? 256 : 512, longest_sequence(folder));
  settings.set_default("height", side, origin);
  settings.set_default("width", side, origin);
  settings.set_default("num_inference_steps", folder.distilled() ? "4" : "28", origin);
  settings.set_default("guidance_scale", folder.distilled() ? "0" : "3.5", origin);
  settings.set_default("max_sequence_length", std::to_string(tokens), origin);
}

void add_noise_defaults(Settings& settings, const ModelFolder& folder) {
  if (!settings.has("noise_dtype"))
    settings.set_default("noise_dtype", noise_dtype_of(folder), "as text_encoder_2 is stored");
  if (!settings.has("seed")) settings.set_default("seed", std::to_string(std::random_device{}()), "random");
}

}  // namespace flux
