#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <string>
#include <vector>

#include "model/checkpoint/layers.h"
#include "model/checkpoint/weights.h"
#include "model/config.h"
#include "model/linear/linear.h"
#include "model/transformer/modulation_layout.h"

namespace flux {

/// Two linear layers with silu between, in fp32. diffusers: TimestepEmbedding, PixArtAlphaTextProjection.
class VecEmbedder {
 public:
  VecEmbedder(const Weights& weights, int64_t d, int64_t in);
  at::Tensor operator()(const at::Tensor& x) const;  // [rows, in] -> [rows, d]

 private:
  Linear linear_1_, linear_2_;
};

/// Everything of the transformer that sees only timestep, guidance and pooled text, so for all steps of a prompt at
/// once: the embedders and every AdaLN linear. diffusers: CombinedTimestepGuidanceTextProjEmbeddings, and the linears
/// of AdaLayerNormZero, AdaLayerNormZeroSingle and AdaLayerNormContinuous. No rank that denoises holds these weights.
class Modulation {
 public:
  /// `transformer`: the root of the component.
  Modulation(const Weights& transformer, const TransformerConfig& config);

  /// timesteps: 0 ... 1000, one a step (schedule.h), never rounded. guidance: the distilled scale, unused by a model
  /// without guidance_embeds. pooled: [pooled_projection_dim]. Returns [steps, n], columns as ModulationLayout.
  at::Tensor operator()(const std::vector<float>& timesteps, double guidance, const at::Tensor& pooled) const;

 private:
  /// A norm's linear gives these columns of the table.
  struct Columns {
    std::string norm;
    int64_t begin, size;
  };

  static std::vector<Columns> columns_of(const TransformerConfig& config, const ModulationLayout& layout);

  at::Tensor vec(const std::vector<float>& timesteps, double guidance, const at::Tensor& pooled) const;  // [steps, d]

  ModulationLayout layout_;
  Placing placing_;
  VecEmbedder timestep_embedder_;
  std::optional<VecEmbedder> guidance_embedder_;
  VecEmbedder text_embedder_;
  std::vector<Columns> columns_;
  Layers<Linear> linears_;  // of each
};

}  // namespace flux
