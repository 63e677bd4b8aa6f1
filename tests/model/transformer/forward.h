#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "model/checkpoint/component.h"
#include "model/config.h"
#include "model/linear/linear.h"
#include "model/transformer/modulation.h"
#include "model/transformer/transformer.h"
#include "tests/model/comparison.h"
#include "tests/model/transformer/one_rank.h"

namespace flux {

inline TransformerConfig transformer_config(const std::filesystem::path& folder) {
  const auto fields = json(folder / "config.json");
  TransformerConfig config;
  config.in_channels = fields["in_channels"];
  config.num_layers = fields["num_layers"];
  config.num_single_layers = fields["num_single_layers"];
  config.attention_head_dim = fields["attention_head_dim"];
  config.num_attention_heads = fields["num_attention_heads"];
  config.joint_attention_dim = fields["joint_attention_dim"];
  config.pooled_projection_dim = fields["pooled_projection_dim"];
  config.guidance_embeds = fields["guidance_embeds"];
  config.axes_dims_rope = fields["axes_dims_rope"];
  return config;
}

/// The folder's transformer, of weights from `source`, over the inputs in its expected/model.safetensors, modulation
/// hoisted: [steps, tokens, in_channels] fp32 on the CPU.
inline at::Tensor forward(const std::filesystem::path& folder, const std::shared_ptr<const TensorSource>& source,
                          const Placing& placing) {
  const auto config = transformer_config(folder);
  const Weights weights(source, placing);
  const auto expected = open_component(folder / "expected");

  const auto sigmas = stored(*expected, "sigmas") * 1000;
  const std::vector<float> timesteps(sigmas.const_data_ptr<float>(), sigmas.const_data_ptr<float>() + sigmas.numel());
  const auto table =
      Modulation(weights, config)(timesteps, stored(*expected, "guidance").item<double>(), stored(*expected, "pooled"));
  const Weights dense(source, {placing.device, placing.compute});
  const Linear context_embedder(dense, {"context_embedder"}, config.hidden_size(), config.joint_attention_dim);
  const auto txt = context_embedder(stored(*expected, "txt").to(placing.device, placing.compute));
  const auto latents = stored(*expected, "latents").to(placing.device);

  const OneRank sequence(placing.device);
  const Picture picture{.height = stored(*expected, "height").item<int64_t>(),
                        .width = stored(*expected, "width").item<int64_t>()};
  const Arena arena(config, {picture.tokens(), txt.size(0)}, placing, *sequence);
  Scratch scratch(config, Cut(txt.size(0), picture.tokens(), 1, 1), picture, arena, *sequence);
  const Transformer transformer(weights, config, true);
  std::vector<at::Tensor> outputs;
  for (size_t step = 0; step < timesteps.size(); ++step) {
    transformer(latents, txt, table[static_cast<int64_t>(step)].to(at::kFloat), scratch);
    outputs.push_back(scratch.velocity.cpu().clone());
  }
  return at::stack(outputs);
}

inline at::Tensor forward(const std::filesystem::path& folder, const Placing& placing) {
  return forward(folder, open_component(folder), placing);
}

}  // namespace flux
