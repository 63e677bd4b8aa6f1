#include "model/transformer/arena.h"

#include <algorithm>

#include "model/kernels/quantize_operand.h"
#include "model/transformer/cut.h"
#include "model/transformer/gathered_attention.h"
#include "model/transformer/modulation_layout.h"
#include "model/transformer/ulysses_attention.h"

namespace flux {

at::ScalarType residual_dtype(at::ScalarType compute) { return compute == at::kBFloat16 ? at::kBFloat16 : at::kFloat; }

namespace {

std::unique_ptr<const AttentionMemory> attention_memory(const AttentionShape& shape, const Demand& demand,
                                                        const Exchange& exchange, Communicator& sequence) {
  const int64_t tokens = demand.image_tokens + demand.text_tokens;
  int64_t rows = 0;  // of any rank: all have as much memory
  for (int rank = 0; rank < sequence.size(); ++rank)
    rows = std::max(rows, most_rows(tokens, rank, sequence.size(), demand.shares));
  if (exchange.context == ContextParallel::gather)
    return std::make_unique<GatheredMemory>(shape, tokens, rows, exchange, sequence);
  return std::make_unique<UlyssesMemory>(shape, tokens, rows, exchange, sequence);
}

}  // namespace

Arena::Arena(const TransformerConfig& config, const Demand& demand, const Placing& placing, Communicator& sequence,
             const Exchange& exchange)
    : beside(stream_beside(placing.device)) {
  const at::ScalarType compute = placing.compute, residual_type = residual_dtype(compute);
  const int64_t d = config.hidden_size(), heads = config.num_attention_heads, head_dim = config.attention_head_dim;
  const int64_t tokens = demand.image_tokens + demand.text_tokens;
  const int64_t rows = most_rows(tokens, sequence.rank(), sequence.size(), demand.shares);
  const int64_t image_rows = std::min(rows, demand.image_tokens), text_rows = std::min(rows, demand.text_tokens);
  const auto options = [&](at::ScalarType dtype) { return at::dtype(dtype).device(placing.device); };
  const auto take = [&](at::IntArrayRef sizes, at::ScalarType dtype) {
    at::Tensor memory = at::empty(sizes, options(dtype));
    bytes_ += static_cast<int64_t>(memory.nbytes());
    return memory;
  };

  attention = attention_memory({heads, head_dim, options(compute)}, demand, exchange, sequence);
  bytes_ += attention->bytes();
  residual = take({rows, d}, residual_type);
  q = take({rows, heads, head_dim}, compute);
  joined = take({rows, 5 * d}, compute);
  branch = take({rows, d}, residual_type);
  cos = take({rows, head_dim / 2}, at::kFloat);
  sin = take({rows, head_dim / 2}, at::kFloat);
  if (const Format input = input_of(placing.store); input != Format::dense) {
    normed = take({rows, d}, code_dtype(input));
    normed_scales = take({rows}, at::kFloat);
    codes = take({rows * 5 * d}, code_dtype(input));
    code_scales = take({rows}, at::kFloat);
  } else {
    normed = take({rows, d}, compute);
  }

  all_latents = take({demand.image_tokens, config.in_channels}, at::kFloat);
  latents = take({image_rows, config.in_channels}, compute);
  velocity = take({image_rows, config.in_channels}, at::kFloat);
  positive = take({image_rows, config.in_channels}, at::kFloat);
  txt = take({2, text_rows, d}, compute);
  modulation = take({2, ModulationLayout(config).size()}, at::kFloat);
  sigma_step = take({}, at::kFloat);
  true_cfg_scale = take({}, at::kFloat);
}

}  // namespace flux
