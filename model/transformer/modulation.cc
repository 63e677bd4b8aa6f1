#include "model/transformer/modulation.h"

#include <cmath>
#include <string>
#include <utility>

#include "model/kernels/quantize_operand.h"

namespace flux {

namespace {

constexpr int64_t sinusoids = 256;  // of a timestep or a guidance scale

/// diffusers: Timesteps(256, flip_sin_to_cos=True, downscale_freq_shift=0). t: [rows] -> [rows, 256] fp32.
at::Tensor sinusoidal(const at::Tensor& t) {
  constexpr int64_t half = sinusoids / 2;
  const auto exponent = -std::log(10000.0) * at::arange(half, at::kFloat) / half;
  const auto angle = t.unsqueeze(1) * at::exp(exponent).unsqueeze(0);
  return at::cat({angle.cos(), angle.sin()}, 1);
}

/// Small, and everything depends on them: what they round is the same for all tokens of all blocks.
Weights embedders(const Weights& transformer) {
  return transformer.as(Format::dense).in(at::kFloat)["time_text_embed"];
}

}  // namespace

VecEmbedder::VecEmbedder(const Weights& weights, int64_t d, int64_t in)
    : linear_1_(weights, {"linear_1"}, d, in), linear_2_(weights, {"linear_2"}, d, d) {}

at::Tensor VecEmbedder::operator()(const at::Tensor& x) const { return linear_2_(at::silu(linear_1_(x))); }

std::vector<Modulation::Columns> Modulation::columns_of(const TransformerConfig& config,
                                                        const ModulationLayout& layout) {
  std::vector<Columns> columns;
  const auto add = [&](const std::string& norm, int64_t begin, int64_t vectors) {
    columns.push_back({norm, begin, vectors * layout.d});
  };
  for (int64_t block = 0; block < config.num_layers; ++block) {
    const std::string name = "transformer_blocks." + std::to_string(block);
    add(name + ".norm1", layout.img(block), 6);
    add(name + ".norm1_context", layout.txt(block), 6);
  }
  for (int64_t block = 0; block < config.num_single_layers; ++block)
    add("single_transformer_blocks." + std::to_string(block) + ".norm", layout.single(block), 3);
  add("norm_out", layout.norm_out(), 2);
  return columns;
}

Modulation::Modulation(const Weights& transformer, const TransformerConfig& config)
    : layout_(config),
      placing_(transformer.placing()),
      timestep_embedder_(embedders(transformer)["timestep_embedder"], layout_.d, sinusoids),
      guidance_embedder_(config.guidance_embeds
                             ? std::optional<VecEmbedder>(std::in_place, embedders(transformer)["guidance_embedder"],
                                                          layout_.d, sinusoids)
                             : std::nullopt),
      text_embedder_(embedders(transformer)["text_embedder"], layout_.d, config.pooled_projection_dim),
      columns_(columns_of(config, layout_)),
      linears_(transformer, static_cast<int64_t>(columns_.size()), [&](const Weights& weights, int64_t index) {
        const Columns& of = columns_[static_cast<size_t>(index)];
        return Linear(weights[of.norm], {"linear"}, of.size, layout_.d);
      }) {}

at::Tensor Modulation::vec(const std::vector<float>& timesteps, double guidance, const at::Tensor& pooled) const {
  const auto embedded = [&](const VecEmbedder& embedder, const at::Tensor& t) {
    return embedder(sinusoidal(t).to(placing_.device));
  };
  auto sum = embedded(timestep_embedder_, at::tensor(timesteps, at::kFloat));
  if (guidance_embedder_) sum = sum + embedded(*guidance_embedder_, at::full({1}, guidance, at::kFloat) * 1000.0);
  return sum + text_embedder_(pooled.to(placing_.device, at::kFloat).unsqueeze(0));
}

at::Tensor Modulation::operator()(const std::vector<float>& timesteps, double guidance,
                                  const at::Tensor& pooled) const {
  const auto activated = at::silu(vec(timesteps, guidance, pooled)).to(placing_.compute);
  auto table = at::empty({activated.size(0), layout_.size()}, activated.options());
  const Activation input = as_input(linears_.front().input(), activated);
  auto columns = columns_.begin();
  linears_.for_each([&](const Linear& linear) {
    linear(input, table.narrow(1, columns->begin, columns->size));
    ++columns;
  });
  return table;
}

}  // namespace flux
