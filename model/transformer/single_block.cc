#include "model/transformer/single_block.h"

#include "model/kernels/residual_norm.h"

namespace flux {

SingleBlock::SingleBlock(const Weights& weights, const TransformerConfig& config)
    : Projections(weights["attn"], config, {"to_q", "to_k", "to_v", "norm_q", "norm_k"}),
      up_(weights, {"proj_mlp"}, 4 * config.hidden_size(), config.hidden_size()),
      out_(weights, {"proj_out"}, config.hidden_size(), 5 * config.hidden_size()) {}

void SingleBlock::operator()(Scratch& scratch, const at::Tensor& gate, const NextNorm& next) const {
  const TokenRows& joint = scratch.joint;
  JointAttention& attention = *scratch.attention;
  SideStream& beside = scratch.beside;

  for (size_t part = 0; part < joint.kv.size(); ++part) {
    beside.run([&] { values(joint, part); });
    keys(joint, part);
    beside.join();
    attention.send(part);  // keys and values travel from here ...
  }

  beside.run([&] {
    queries(joint);
    attention.send_queries(joint.normed_q);
  });
  up_(joint.normed, joint.hidden.values, Epilogue::gelu);
  beside.join();
  attention.attend(joint.attended.values);  // ... to here

  out_(joint.joined.ready(), joint.branch);
  add_and_norm(joint.residual, gate, joint.branch, next.modulation, next.out);
}

}  // namespace flux
