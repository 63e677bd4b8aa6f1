#include "runtime/plan.h"

#include <numeric>
#include <set>

#include "model/checkpoint/computed.h"
#include "model/checkpoint/expected_tensors.h"
#include "model/checkpoint/weights.h"
#include "model/linear/linear.h"
#include "model/schedule.h"
#include "model/text/clip_text.h"
#include "model/text/t5_encoder.h"
#include "model/transformer/cut.h"
#include "model/transformer/modulation.h"
#include "model/transformer/modulation_layout.h"
#include "model/transformer/scratch.h"
#include "model/transformer/transformer.h"
#include "model/vae/vae_decoder.h"

namespace flux {
namespace {

/// A source that adds up what modules ask it for.
class Counted : public TensorSource {
 public:
  explicit Counted(std::shared_ptr<const TensorSource> source) : source_(std::move(source)) {}

  std::string where() const override { return source_->where(); }
  bool has_values() const override { return source_->has_values(); }
  std::vector<std::string> names() const override { return source_->names(); }
  void read(const TensorInfo& tensor, int64_t row, const at::Tensor& into) const override {
    source_->read(tensor, row, into);
  }
  const TensorInfo* find(std::string_view name) const override {
    const TensorInfo* tensor = source_->find(name);
    if (tensor != nullptr && seen_.emplace(name).second) values_ += c10::multiply_integers(tensor->shape);
    return tensor;
  }
  int64_t values() const { return values_; }

 private:
  std::shared_ptr<const TensorSource> source_;
  mutable std::set<std::string, std::less<>> seen_;
  mutable int64_t values_ = 0;
};

/// Bytes of what `build` makes of a component's weights.
template <typename Build>
int64_t bytes_of(const ModelFolder& folder, const std::string& component, at::ScalarType dtype, const Build& build) {
  const auto counted = std::make_shared<Counted>(
      shapes_only_source(expected_tensors(folder, component), (folder.path / component).string()));
  build(Weights(counted, {at::kMeta, dtype}));
  return counted->values() * static_cast<int64_t>(c10::elementSize(dtype));
}

std::map<std::string, int64_t> encoder_weights(const ModelFolder& folder, at::ScalarType dtype) {
  const auto bytes = [&](const std::string& component, const auto& build) {
    return bytes_of(folder, component, dtype, build);
  };
  const TransformerConfig& config = folder.transformer;
  return {{"text_encoder", bytes("text_encoder", [&](const Weights& w) { ClipText(w, folder.text_encoder); })},
          {"text_encoder_2", bytes("text_encoder_2", [&](const Weights& w) { T5Encoder(w, folder.text_encoder_2); })},
          {"modulation", bytes("transformer",
                               [&](const Weights& w) {
                                 Linear(w, {"context_embedder"}, config.hidden_size(), config.joint_attention_dim);
                                 Modulation(w, config);
                               })},
          {"vae", bytes("vae", [&](const Weights& w) { VaeDecoder(w, folder.vae); })}};
}

/// Of one prompt: embedded text and the modulation of all steps.
int64_t conditioning_bytes(const TransformerConfig& config, const PlanRequest& request, at::ScalarType dtype) {
  const int64_t values = request.max_sequence_length * config.hidden_size() +
                         request.num_inference_steps * ModulationLayout(config).size();
  return values * static_cast<int64_t>(c10::elementSize(dtype));
}

int64_t denoiser_buffers(const TransformerConfig& config, const Cut& cut, int position, at::ScalarType dtype) {
  const int64_t txt = cut.text_rows(position) * config.hidden_size() * static_cast<int64_t>(c10::elementSize(dtype));
  const int64_t in_fp32 = cut.image_tokens() * config.in_channels + ModulationLayout(config).size();
  return scratch_bytes(config, cut, position, dtype) + txt + in_fp32 * static_cast<int64_t>(sizeof(float));
}

RankBytes bytes_of_rank(const ModelFolder& folder, const Placement& placement, const RankPlace& place,
                        const PlanRequest& request) {
  RankBytes bytes;
  if (place.encodes) bytes.weights = encoder_weights(folder, placement.dtype);
  bytes.buffers = conditioning_bytes(folder.transformer, request, placement.dtype);
  if (place.replica < 0) return bytes;
  const Replica& replica = placement.replicas[place.replica];
  const Cut cut(request.max_sequence_length, request.picture.tokens(), static_cast<int>(replica.ranks.size()),
                replica.text_ranks);
  bytes.weights["transformer"] = bytes_of(folder, "transformer", placement.dtype, [&](const Weights& weights) {
    Transformer(weights, folder.transformer, place.text);
  });
  bytes.buffers += denoiser_buffers(folder.transformer, cut, place.position, placement.dtype);
  return bytes;
}

Prompt asked(const PlanRequest& request) {
  Prompt prompt;
  prompt.num_inference_steps = request.num_inference_steps;
  prompt.sigmas = request.sigmas;
  prompt.picture = request.picture;
  return prompt;
}

}  // namespace

int64_t RankBytes::total() const {
  return std::accumulate(weights.begin(), weights.end(), buffers,
                         [](int64_t sum, const auto& kind) { return sum + kind.second; });
}

Plan make_plan(const ModelFolder& folder, const Placement& placement, const PlanRequest& request) {
  Plan plan{.placement = placement,
            .picture = request.picture,
            .ranks = {},
            .cards = {},
            .sigmas = sigmas(folder.scheduler, asked(request))};
  for (const RankPlace& place : placement.ranks) {
    plan.ranks.push_back(bytes_of_rank(folder, placement, place, request));
    if (place.card.empty()) continue;
    CardBytes& card = plan.cards[place.card];
    card.ranks.push_back(place.rank);
    card.needed += plan.ranks.back().total();
    const auto memory = request.card_memory.find(place.card);
    if (memory != request.card_memory.end()) card.memory = memory->second;
  }
  return plan;
}

}  // namespace flux
