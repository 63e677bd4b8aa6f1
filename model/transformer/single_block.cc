#include "model/transformer/single_block.h"

#include "model/kernels/gated_residual.h"
#include "model/kernels/modulated_layer_norm.h"
#include "model/kernels/up_gelu.h"

namespace flux {

SingleBlock::SingleBlock(const Weights& weights, const TransformerConfig& config)
    : kv_(weights["attn"], {"to_k", "to_v"}, 2 * config.hidden_size(), config.hidden_size()),
      q_(weights["attn"], {"to_q"}, config.hidden_size(), config.hidden_size()),
      up_(weights, {"proj_mlp"}, 4 * config.hidden_size(), config.hidden_size()),
      out_(weights, {"proj_out"}, config.hidden_size(), 5 * config.hidden_size()),
      norm_k_(weights["attn"], "norm_k", config.attention_head_dim),
      norm_q_(weights["attn"], "norm_q", config.attention_head_dim) {}

void SingleBlock::operator()(const TokenRows& joint, const ShiftScaleGate& modulation,
                             JointAttention& attention) const {
  modulated_layer_norm(joint.residual, modulation.shift, modulation.scale, joint.normed);

  kv_(joint.normed, joint.kv.flatten(1));
  norm_k_(joint.kv.select(1, 0), joint.pe);
  attention.send();  // keys and values travel from here ...

  q_(joint.normed, joint.q.flatten(1));
  norm_q_(joint.q, joint.pe);
  up_gelu(up_, joint.normed, joint.hidden);
  attention.attend(joint.q, joint.attended);  // ... to here

  out_(joint.joined, joint.branch);
  gated_residual(joint.residual, modulation.gate, joint.branch);
}

int64_t SingleBlock::bytes() const {
  return kv_.bytes() + q_.bytes() + up_.bytes() + out_.bytes() + norm_k_.bytes() + norm_q_.bytes();
}

}  // namespace flux
