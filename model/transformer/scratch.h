#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "model/linear/activation.h"
#include "model/transformer/arena.h"
#include "model/transformer/cut.h"
#include "model/transformer/joint_attention.h"
#include "model/transformer/rotary.h"
#include "parallel/rank/side_stream.h"

namespace flux {

/// What one product wrote and the next one multiplies.
struct Operand {
  at::Tensor values;   // [rows, width] of the compute dtype, may be a column range
  Activation operand;  // the values themselves, or room for their codes

  /// As it is multiplied; the values must be there.
  const Activation& ready() const;
};

/// Some of a rank's rows of the joint sequence (all, its text, its image) and the blocks' buffers for them.
struct TokenRows {
  at::Tensor residual;               // [rows, d], the residual stream
  Activation normed;                 // [rows, d], normalised and modulated
  std::vector<at::Tensor> kv;        // of each part that travels: [rows, 2, heads of the part, head_dim]
  at::Tensor q;                      // [rows, heads, head_dim]
  std::vector<at::Tensor> normed_k;  // of each part, the keys once they are normalised: there, or their codes
  at::Tensor normed_q;
  Operand joined;     // [rows, 5 d] = [attended | hidden], which a single block multiplies in one go
  Operand attended;   // [rows, d]
  Operand hidden;     // [rows, 4 d], of the MLP
  at::Tensor branch;  // [rows, d], what a branch adds to the residual
  Rotary pe;

  int64_t rows() const { return residual.size(0); }

  /// Room of [rows, d] in the compute dtype for a norm that nothing quantised reads: where the queries were.
  Activation last_normed() const { return {q.flatten(1)}; }
};

/// A rank's buffers for pictures of one size, within its arena: of which one at a time is in use, for it leaves the
/// picture's rotary embedding there.
struct Scratch {
  Scratch(const TransformerConfig& config, const Cut& cut, const Picture& picture, const Arena& arena,
          Communicator& sequence);

  std::unique_ptr<JointAttention> attention;
  SideStream beside;
  TokenRows joint;
  TokenRows txt, img;   // of joint
  at::Tensor latents;   // [image rows, in_channels] of the compute dtype: what the transformer reads
  at::Tensor velocity;  // [image rows, in_channels] fp32: what it predicts
};

}  // namespace flux
