#include "runtime/plan.h"

#include <numeric>

#include "model/checkpoint/checkpoint.h"
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

/// Of the very modules that would load, made without values.
std::map<std::string, int64_t> encoder_weights(const ModelFolder& folder, const Placing& placing) {
  const Checkpoint shapes = shapes_only(folder);
  const auto of = [&](const char* component) { return Weights(shapes.open(component), placing); };
  const TransformerConfig& config = folder.transformer;
  const Weights transformer = of("transformer");
  return {{"text_encoder", ClipText(of("text_encoder"), folder.text_encoder).bytes()},
          {"text_encoder_2", T5Encoder(of("text_encoder_2"), folder.text_encoder_2).bytes()},
          {"modulation",
           Modulation(transformer, config).bytes() +
               Linear(transformer, {"context_embedder"}, config.hidden_size(), config.joint_attention_dim).bytes()},
          {"vae", VaeDecoder(of("vae"), folder.vae).bytes()}};
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
  if (place.encodes) bytes.weights = encoder_weights(folder, {at::kMeta, placement.dtype});
  bytes.buffers = conditioning_bytes(folder.transformer, request, placement.dtype);
  if (place.replica < 0) return bytes;
  const Replica& replica = placement.replicas[place.replica];
  const Cut cut(request.max_sequence_length, request.picture.tokens(), static_cast<int>(replica.ranks.size()),
                replica.text_ranks);
  const Weights transformer(shapes_only(folder).open("transformer"), {at::kMeta, placement.dtype});
  bytes.weights["transformer"] = Transformer(transformer, folder.transformer, place.text).bytes();
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
