#include "model/transformer/double_block.h"

#include "model/kernels/gated_residual.h"
#include "model/kernels/modulated_layer_norm.h"
#include "model/kernels/up_gelu.h"

namespace flux {

namespace {

const StreamNames img_names{{"to_k", "to_v"}, "to_q", "norm_k", "norm_q", "to_out.0", "ff"};
const StreamNames txt_names{
    {"add_k_proj", "add_v_proj"}, "add_q_proj", "norm_added_k", "norm_added_q", "to_add_out", "ff_context"};

}  // namespace

Stream::Stream(const Weights& block, const TransformerConfig& config, const StreamNames& names)
    : kv_(block["attn"], names.keys_values, 2 * config.hidden_size(), config.hidden_size()),
      q_(block["attn"], {names.queries}, config.hidden_size(), config.hidden_size()),
      out_(block["attn"], {names.out}, config.hidden_size(), config.hidden_size()),
      up_(block[names.mlp], {"net.0.proj"}, 4 * config.hidden_size(), config.hidden_size()),
      down_(block[names.mlp], {"net.2"}, config.hidden_size(), 4 * config.hidden_size()),
      norm_k_(block["attn"], names.norm_k, config.attention_head_dim),
      norm_q_(block["attn"], names.norm_q, config.attention_head_dim) {}

void Stream::keys_values(const TokenRows& rows, const ShiftScaleGate& modulation) const {
  modulated_layer_norm(rows.residual, modulation.shift, modulation.scale, rows.normed);
  kv_(rows.normed, rows.kv.flatten(1));
  norm_k_(rows.kv.select(1, 0), rows.pe);
}

void Stream::queries(const TokenRows& rows) const {
  q_(rows.normed, rows.q.flatten(1));
  norm_q_(rows.q, rows.pe);
}

void Stream::add_attention(const TokenRows& rows, const ShiftScaleGate& modulation) const {
  out_(rows.attended, rows.branch);
  gated_residual(rows.residual, modulation.gate, rows.branch);
}

void Stream::add_mlp(const TokenRows& rows, const ShiftScaleGate& modulation) const {
  modulated_layer_norm(rows.residual, modulation.shift, modulation.scale, rows.normed);
  up_gelu(up_, rows.normed, rows.hidden);
  down_(rows.hidden, rows.branch);
  gated_residual(rows.residual, modulation.gate, rows.branch);
}

int64_t Stream::bytes() const {
  return kv_.bytes() + q_.bytes() + out_.bytes() + up_.bytes() + down_.bytes() + norm_k_.bytes() + norm_q_.bytes();
}

DoubleBlock::DoubleBlock(const Weights& weights, const TransformerConfig& config, bool holds_text)
    : img_(weights, config, img_names) {
  if (holds_text) txt_.emplace(weights, config, txt_names);
}

void DoubleBlock::operator()(Scratch& scratch, const Modulations& modulations) const {
  auto& [attention, joint, txt, img, velocity] = scratch;

  if (txt_) txt_->keys_values(txt, modulations.txt_attention);
  img_.keys_values(img, modulations.img_attention);
  attention.send();  // keys and values travel from here ...

  if (txt_) txt_->queries(txt);
  img_.queries(img);
  attention.attend(joint.q, joint.attended);  // ... to here

  if (txt_) {
    txt_->add_attention(txt, modulations.txt_attention);
    txt_->add_mlp(txt, modulations.txt_mlp);
  }
  img_.add_attention(img, modulations.img_attention);
  img_.add_mlp(img, modulations.img_mlp);
}

}  // namespace flux
