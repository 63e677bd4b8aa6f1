#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <random>

#include "model/checkpoint/component.h"
#include "parallel/rank/errors.h"
#include "runtime/source/jobs.h"

namespace flux {
namespace {

constexpr int64_t most_tokens = 512;  // FluxPipeline.check_inputs

std::string noise_dtype_of(const ModelFolder& folder) {
  const auto source = open_component(folder.path / "text_encoder_2");
  const TensorInfo* tensor = source->find("shared.weight");
  if (tensor == nullptr && !source->names().empty()) tensor = source->find(source->names().front());
  if (tensor == nullptr) throw Invalid((folder.path / "text_encoder_2").string() + ": holds no tensors");
  switch (tensor->dtype) {
    case at::kFloat:
      return "fp32";
    case at::kBFloat16:
      return "bf16";
    case at::kHalf:
      return "fp16";
    default:
      throw Invalid(tensor->file + ": " + tensor->name + " is of a dtype without noise; give --noise-dtype");
  }
}

}  // namespace

int64_t longest_sequence(const ModelFolder& folder) {
  const auto file = folder.path / "tokenizer_2" / "tokenizer_config.json";
  std::ifstream stream(file);
  if (!stream) return most_tokens;
  const auto config = nlohmann::json::parse(stream, nullptr, /*allow_exceptions=*/false);
  if (config.is_discarded() || !config.is_object()) throw Invalid(file.string() + ": is not a JSON object");
  const auto found = config.find("model_max_length");
  if (found == config.end() || !found->is_number()) return most_tokens;
  const auto tokens = found->get<double>();  // Hugging Face writes 1e30 for "no limit"
  if (!(tokens >= 1)) throw Invalid(file.string() + ": model_max_length is not a number of tokens");
  return static_cast<int64_t>(std::min<double>(tokens, most_tokens));
}

void add_model_defaults(Settings& settings, const ModelFolder& folder) {
  const std::string origin = folder.distilled() ? "default of a distilled model" : "default of the model";
  const int64_t tokens = std::min<int64_t>(folder.distilled() ? 256 : 512, longest_sequence(folder));
  settings.set("num_inference_steps", folder.distilled() ? "4" : "28", origin);
  settings.set("guidance_scale", folder.distilled() ? "0" : "3.5", origin);
  settings.set("max_sequence_length", std::to_string(tokens), origin);
}

void add_noise_defaults(Settings& settings, const ModelFolder& folder) {
  if (!settings.has("noise_dtype")) settings.set("noise_dtype", noise_dtype_of(folder), "as text_encoder_2 is stored");
  if (!settings.has("seed")) settings.set("seed", std::to_string(std::random_device{}()), "random");
}

}  // namespace flux
