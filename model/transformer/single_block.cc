#include "model/transformer/single_block.h"

#include "model/kernels/residual_norm.h"

namespace flux {

SingleBlock::SingleBlock(const Weights& weights, const TransformerConfig& config)
    : kv_(weights["attn"], {"to_k", "to_v"}, 2 * config.hidden_size(), config.hidden_size()),
      q_(weights["attn"], {"to_q"}, config.hidden_size(), config.hidden_size()),
      up_(weights, {"proj_mlp"}, 4 * config.hidden_size(), config.hidden_size()),
      out_(weights, {"proj_out"}, config.hidden_size(), 5 * config.hidden_size()),
      norm_k_(weights["attn"], "norm_k", config.attention_head_dim),
      norm_q_(weights["attn"], "norm_q", config.attention_head_dim) {}

void SingleBlock::operator()(const TokenRows& joint, const at::Tensor& gate, const NextNorm& next,
                             JointAttention& attention) const {
  kv_(joint.normed, joint.kv.flatten(1));
  norm_k_(joint.kv.select(1, 0), joint.pe);
  attention.send();  // keys and values travel from here ...

  q_(joint.normed, joint.q.flatten(1));
  norm_q_(joint.q, joint.pe);
  up_(joint.normed, joint.hidden.values, Epilogue::gelu);
  attention.attend(joint.q, joint.attended.values);  // ... to here

  out_(joint.joined.ready(), joint.branch);
  add_and_norm(joint.residual, gate, joint.branch, next.modulation, next.out);
}

}  // namespace flux
