#include "model/checkpoint/expected_tensors.h"

#include <c10/util/Exception.h>

#include <map>
#include <memory>
#include <ranges>
#include <utility>

#include "model/checkpoint/tensor_source.h"
#include "model/checkpoint/weights.h"
#include "model/linear/linear.h"
#include "model/text/clip_text.h"
#include "model/text/t5_encoder.h"
#include "model/transformer/modulation.h"
#include "model/transformer/transformer.h"
#include "model/vae/vae_decoder.h"

namespace flux {
namespace {

/// Has whatever it is asked for, without values, and remembers it. For one thread.
class Asked : public TensorSource {
 public:
  std::string where() const override { return "the modules"; }
  bool has_values() const override { return false; }

  const TensorInfo* find(std::string_view name) const override {
    const auto found = infos_.find(name);
    return found == infos_.end() ? nullptr : &found->second;
  }

  const TensorInfo* asked(std::string_view name, at::IntArrayRef shape, Format kept) const override {
    const auto [info, is_new] = infos_.try_emplace(std::string(name));
    if (is_new) tensors_.push_back({info->first, shape.vec(), kept});
    if (is_new)
      info->second = {.name = info->first,
                      .stored_as = "F32",
                      .shape = shape.vec(),
                      .file = std::make_shared<const std::string>(where())};
    return &info->second;
  }

  std::vector<std::string> names() const override {
    const auto names = std::views::keys(infos_);
    return {names.begin(), names.end()};
  }

  /// In the order in which they were asked for.
  std::vector<ExpectedTensor> take() { return std::move(tensors_); }

  void read(const TensorInfo& tensor, int64_t, const at::Tensor&) const override {
    TORCH_INTERNAL_ASSERT(false, tensor.name, " was asked for, and has no values");
  }

 private:
  mutable std::map<std::string, TensorInfo, std::less<>> infos_;
  mutable std::vector<ExpectedTensor> tensors_;
};

void build(const ModelFolder& folder, const std::string& component, const Weights& weights, const Formats& formats) {
  if (component == "transformer") {
    const TransformerConfig& config = folder.transformer;
    const Linear context_embedder(weights, {"context_embedder"}, config.hidden_size(), config.joint_attention_dim);
    const Modulation modulation(weights.as(formats.modulation), config);
    const Transformer transformer(weights.as(formats.transformer), config, /*holds_text=*/true);
  } else if (component == "text_encoder") {
    const ClipText clip(weights, folder.text_encoder);
  } else if (component == "text_encoder_2") {
    const T5Encoder t5(weights.as(formats.text_encoder), folder.text_encoder_2);
  } else {
    TORCH_INTERNAL_ASSERT(component == "vae", "no component ", component);
    const VaeDecoder vae(weights, folder.vae);
  }
}

}  // namespace

std::vector<ExpectedTensor> expected_tensors(const ModelFolder& folder, const std::string& component,
                                             const Formats& formats) {
  const auto asked = std::make_shared<Asked>();
  build(folder, component, Weights(asked, {}), formats);
  return asked->take();
}

}  // namespace flux
