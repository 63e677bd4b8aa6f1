#include "model/transformer/projections.h"

namespace flux {

Projections::OfHeads::OfHeads(const Weights& weights, const std::string& name, const TransformerConfig& config)
    : all(weights, {name}, config.hidden_size(), config.hidden_size()) {
  const int64_t half = config.num_attention_heads / 2 * config.attention_head_dim;
  if (config.num_attention_heads % 2 != 0) return;
  halves.push_back(all.columns(0, half));
  halves.push_back(all.columns(half, half));
}

Projections::Projections(const Weights& attention, const TransformerConfig& config, const ProjectionNames& names)
    : q_(attention, {names.q}, config.hidden_size(), config.hidden_size()),
      k_(attention, names.k, config),
      v_(attention, names.v, config),
      norm_q_(attention, names.norm_q, config.attention_head_dim),
      norm_k_(attention, names.norm_k, config.attention_head_dim) {}

void Projections::queries(const TokenRows& rows) const {
  q_(rows.normed, rows.q.flatten(1));
  norm_q_(rows.q, rows.pe, rows.normed_q);
}

void Projections::keys(const TokenRows& rows, size_t part) const {
  const at::Tensor keys = rows.kv[part].select(1, 0);
  k_.of(rows.kv.size(), part)(rows.normed, keys.flatten(1));
  norm_k_(keys, rows.pe, rows.normed_k[part]);
}

void Projections::values(const TokenRows& rows, size_t part) const {
  v_.of(rows.kv.size(), part)(rows.normed, rows.kv[part].select(1, 1).flatten(1));
}

}  // namespace flux
