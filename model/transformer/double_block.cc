#include "model/transformer/double_block.h"

#include "model/kernels/residual_norm.h"

namespace flux {

namespace {

const StreamNames img_names{{"to_q", "to_k", "to_v", "norm_q", "norm_k"}, "to_out.0", "ff"};
const StreamNames txt_names{
    {"add_q_proj", "add_k_proj", "add_v_proj", "norm_added_q", "norm_added_k"}, "to_add_out", "ff_context"};

}  // namespace

Stream::Stream(const Weights& block, const TransformerConfig& config, const StreamNames& names)
    : Projections(block["attn"], config, names.projections),
      out_(block["attn"], {names.out}, config.hidden_size(), config.hidden_size()),
      up_(block[names.mlp], {"net.0.proj"}, 4 * config.hidden_size(), config.hidden_size()),
      down_(block[names.mlp], {"net.2"}, config.hidden_size(), 4 * config.hidden_size()) {}

void Stream::add_attention(const TokenRows& rows, const at::Tensor& gate, const ShiftScale& next) const {
  out_(rows.attended.ready(), rows.branch);
  add_and_norm(rows.residual, gate, rows.branch, next, rows.normed);
}

void Stream::add_mlp(const TokenRows& rows, const at::Tensor& gate, const NextNorm& next) const {
  up_(rows.normed, rows.hidden.values, Epilogue::gelu);
  down_(rows.hidden.ready(), rows.branch);
  add_and_norm(rows.residual, gate, rows.branch, next.modulation, next.out);
}

DoubleBlock::DoubleBlock(const Weights& weights, const TransformerConfig& config, bool holds_text)
    : img_(weights, config, img_names) {
  if (holds_text)
    txt_.emplace(weights, config, txt_names);
  else if (weights.placing().store == Format::int8_outliers)
    txt_.emplace(weights.of_bystander(), config, txt_names);
}

void DoubleBlock::operator()(Scratch& scratch, const Modulations& modulations, const Next& next) const {
  auto& [attention, beside, joint, txt, img, latents, velocity] = scratch;

  for (size_t part = 0; part < img.kv.size(); ++part) {
    beside.run([&] {
      if (txt_) txt_->keys(txt, part);
      if (txt_) txt_->values(txt, part);
      img_.values(img, part);
    });
    img_.keys(img, part);
    beside.join();
    attention->send(part);  // keys and values travel from here ...
  }

  if (txt_) beside.run([&] { txt_->queries(txt); });
  img_.queries(img);
  beside.join();
  attention->send_queries(joint.normed_q);
  attention->attend(joint.attended.values);  // ... to here

  if (txt_)
    beside.run([&] {
      txt_->add_attention(txt, modulations.txt_attention.gate, modulations.txt_mlp.norm);
      txt_->add_mlp(txt, modulations.txt_mlp.gate, next.txt);
    });
  img_.add_attention(img, modulations.img_attention.gate, modulations.img_mlp.norm);
  img_.add_mlp(img, modulations.img_mlp.gate, next.img);
  beside.join();
}

}  // namespace flux
