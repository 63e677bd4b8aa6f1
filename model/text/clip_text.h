#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "model/checkpoint/weights.h"
#include "model/config.h"
#include "model/linear/linear.h"

namespace flux {

/// The text tower of CLIP, of which FLUX.1 uses the pooled output alone. transformers: CLIPTextModel.
/// The residual stream and the norms are fp32.
class ClipText {
 public:
  ClipText(const Weights& weights, const ClipConfig& config);

  /// ids: [tokens], int64, on the model's device, at most max_position_embeddings.
  /// Returns the pooled text embedding [hidden_size] in the compute dtype.
  at::Tensor operator()(const at::Tensor& ids) const;

 private:
  struct Norm {
    at::Tensor weight, bias;  // [hidden_size], fp32
  };
  struct Layer {
    Norm norm_1;
    Linear qkv, out;
    Norm norm_2;
    Linear fc1, fc2;
  };
  static Norm norm(const Weights& weights, int64_t size);
  static Layer layer(const Weights& weights, const ClipConfig& config);

  at::Tensor normalized(const at::Tensor& hidden, const Norm& norm) const;
  at::Tensor attention(const Layer& layer, const at::Tensor& x) const;
  at::Tensor mlp(const Layer& layer, const at::Tensor& x) const;
  at::Tensor pooled_position(const at::Tensor& ids) const;

  ClipConfig config_;
  at::ScalarType compute_;
  at::Tensor token_embedding_;     // [vocab_size, hidden_size]
  at::Tensor position_embedding_;  // [max_position_embeddings, hidden_size]
  std::vector<Layer> layers_;
  Norm final_norm_;
};

}  // namespace flux
