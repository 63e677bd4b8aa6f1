#include "model/transformer/scratch.h"

namespace flux {

namespace {

Rotary rotary_of(const TransformerConfig& config, const Cut& cut, const Picture& picture, int rank, at::Device device) {
  const auto mine = rotary(config.axes_dims_rope, cut.text_tokens(), picture).narrow(cut.begin(rank), cut.rows(rank));
  return {mine.cos.to(device), mine.sin.to(device)};
}

TokenRows allocate(const TransformerConfig& config, const at::Tensor& kv, const Rotary& pe) {
  const int64_t rows = kv.size(0);
  const int64_t d = config.hidden_size();
  const auto compute = kv.options();
  const auto residual = compute.dtype(residual_dtype(kv.scalar_type()));
  const auto joined = at::empty({rows, 5 * d}, compute);
  return {.residual = at::empty({rows, d}, residual),
          .normed = at::empty({rows, d}, compute),
          .kv = kv,
          .q = at::empty({rows, config.num_attention_heads, config.attention_head_dim}, compute),
          .joined = joined,
          .attended = joined.narrow(1, 0, d),
          .hidden = joined.narrow(1, d, 4 * d),
          .branch = at::empty({rows, d}, residual),
          .pe = pe};
}

}  // namespace

TokenRows TokenRows::narrow(int64_t begin, int64_t rows) const {
  const auto of = [&](const at::Tensor& buffer) { return buffer.narrow(0, begin, rows); };
  return {of(residual),          of(normed), of(kv), of(q), of(joined), of(attended), of(hidden), of(branch),
          pe.narrow(begin, rows)};
}

at::ScalarType residual_dtype(at::ScalarType compute) { return compute == at::kBFloat16 ? at::kBFloat16 : at::kFloat; }

Scratch::Scratch(const TransformerConfig& config, const Cut& cut, const Picture& picture, const Placing& placing,
                 Communicator& sequence)
    : attention(config, cut, sequence, at::dtype(placing.compute).device(placing.device)),
      joint(
          allocate(config, attention.keys_values(), rotary_of(config, cut, picture, sequence.rank(), placing.device))),
      txt(joint.narrow(0, cut.text_rows(sequence.rank()))),
      img(joint.narrow(txt.residual.size(0), cut.image_rows(sequence.rank()))),
      latents(at::empty({img.residual.size(0), config.in_channels}, joint.normed.options())),
      velocity(at::empty({img.residual.size(0), config.in_channels}, joint.residual.options().dtype(at::kFloat))) {}

int64_t scratch_bytes(const TransformerConfig& config, const Cut& cut, int rank, at::ScalarType compute) {
  const auto meta = at::dtype(compute).device(at::kMeta);
  const auto keys_values = at::empty({cut.tokens(), 2, config.num_attention_heads, config.attention_head_dim}, meta);
  const auto angles = at::empty({cut.rows(rank), config.attention_head_dim / 2}, meta.dtype(at::kFloat));
  const auto rows = allocate(config, keys_values.narrow(0, cut.begin(rank), cut.rows(rank)), {angles, angles});
  const auto latents = at::empty({cut.image_rows(rank), config.in_channels}, meta);
  const auto velocity = at::empty(latents.sizes(), meta.dtype(at::kFloat));
  size_t bytes = 0;
  for (const auto& buffer : {keys_values, rows.residual, rows.normed, rows.q, rows.joined, rows.branch, rows.pe.cos,
                             rows.pe.sin, latents, velocity}) {
    bytes += buffer.nbytes();
  }
  return static_cast<int64_t>(bytes);
}

}  // namespace flux
