#include "model/checkpoint/checkpoint.h"

#include <algorithm>
#include <stdexcept>

#include "model/checkpoint/bitsandbytes.h"
#include "model/checkpoint/component.h"
#include "model/checkpoint/computed.h"
#include "model/checkpoint/expected_tensors.h"
#include "model/checkpoint/fp8.h"
#include "model/checkpoint/kept_codes.h"
#include "model/checkpoint/renamed.h"
#include "model/checkpoint/weights.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

/// transformers 5 saves CLIPTextModel without the prefix that published files have.
std::shared_ptr<const TensorSource> with_published_clip_names(std::shared_ptr<const TensorSource> source) {
  constexpr std::string_view prefix = "text_model.";
  const auto names = source->names();
  if (std::any_of(names.begin(), names.end(), [&](auto& name) { return name.starts_with(prefix); })) return source;
  return renamed(std::move(source), [&](const std::string& name) { return std::string(prefix) + name; });
}

/// T5's embedding is stored under either of its two names.
std::shared_ptr<const TensorSource> with_published_t5_names(std::shared_ptr<const TensorSource> source) {
  const std::string embedding = "shared.weight", alias = "encoder.embed_tokens.weight";
  if (source->find(embedding) != nullptr || source->find(alias) == nullptr) return source;
  return renamed(std::move(source), [&](const std::string& name) { return name == alias ? embedding : name; });
}

std::shared_ptr<const TensorSource> open_published(const ModelFolder& folder, const std::string& component) {
  auto source = open_component(folder.path / component);
  if (component == "text_encoder") source = with_published_clip_names(std::move(source));
  if (component == "text_encoder_2") source = with_published_t5_names(std::move(source));
  const Quantization quantization = folder.quantization_of(component);
  switch (quantization.by) {
    case Quantization::By::nobody:
    case Quantization::By::fp8:
      return holds_fp8(*source) ? fp8_source(std::move(source), quantization.format) : source;
    case Quantization::By::bitsandbytes:
      return bitsandbytes_source(std::move(source), quantization);
    case Quantization::By::flux_dist:
      return kept_codes_source(std::move(source), quantization);
  }
  throw std::logic_error("quantized by nobody known");
}

/// A source of which only headers are used.
class WithoutValues : public TensorSource {
 public:
  explicit WithoutValues(std::shared_ptr<const TensorSource> source) : source_(std::move(source)) {}

  std::string where() const override { return source_->where(); }
  bool has_values() const override { return false; }
  bool quantized() const override { return source_->quantized(); }
  const TensorInfo* find(std::string_view name) const override { return source_->find(name); }
  std::vector<std::string> names() const override { return source_->names(); }
  void read(const TensorInfo& tensor, int64_t, const at::Tensor&) const override {
    TORCH_INTERNAL_ASSERT(false, tensor.name, " is not to be read");
  }

 private:
  std::shared_ptr<const TensorSource> source_;
};

}  // namespace

Checkpoint published(const ModelFolder& folder) {
  return {folder, [folder](const std::string& component) { return open_published(folder, component); }};
}

Checkpoint shapes_only(const ModelFolder& folder) {
  return {folder, [folder](const std::string& component) -> std::shared_ptr<const TensorSource> {
            if (folder.quantization_of(component).any())
              return std::make_shared<WithoutValues>(open_published(folder, component));
            return shapes_only_source(expected_tensors(folder, component), (folder.path / component).string());
          }};
}

Checkpoint random_weights(const ModelFolder& folder, uint64_t seed) {
  return {folder, [folder, seed](const std::string& component) {
            return random_source(expected_tensors(folder, component), "random values for " + component, seed);
          }};
}

at::ScalarType default_noise_dtype(const Checkpoint& checkpoint) {
  const auto source = checkpoint.open("text_encoder_2");
  const TensorInfo* embedding = source->find("shared.weight");
  if (embedding == nullptr) throw Invalid(source->where() + ": tensor 'shared.weight' is missing");
  if (embedding->stored_as == "F8_E4M3") return at::kBFloat16;  // as the published one, which it was made of
  const at::ScalarType dtype = embedding->dtype;
  if (!is_weight_dtype(dtype)) {
    throw Invalid(*embedding->file + ": text_encoder_2 is stored as " + embedding->stored_as +
                  ", which is not computed with; take text_encoder_2 from the published folder, in bf16");
  }
  if (dtype == at::kDouble) {
    throw Invalid(*embedding->file +
                  ": text_encoder_2 is stored as F64, in which no noise is drawn; say --noise-dtype");
  }
  return dtype;
}

}  // namespace flux
