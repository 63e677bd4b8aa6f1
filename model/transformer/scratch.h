#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "model/checkpoint/weights.h"
#include "model/config.h"
#include "model/request.h"
#include "model/transformer/cut.h"
#include "model/transformer/joint_attention.h"
#include "model/transformer/rotary.h"

namespace flux {

/// Some of a rank's rows of the joint sequence (all, its text, its image) and the blocks' buffers for them.
struct TokenRows {
  at::Tensor residual;  // [rows, d], the residual stream
  at::Tensor normed;    // [rows, d], normalised and modulated
  at::Tensor kv;        // [rows, 2, heads, head_dim]
  at::Tensor q;         // [rows, heads, head_dim]
  at::Tensor joined;    // [rows, 5 d] = [attended | hidden], which a single block multiplies in one go
  at::Tensor attended;  // [rows, d]
  at::Tensor hidden;    // [rows, 4 d], of the MLP
  at::Tensor branch;    // [rows, d], what a branch adds to the residual
  Rotary pe;

  TokenRows narrow(int64_t begin, int64_t rows) const;
};

/// The residual stream's dtype: fp32 where fp16 would overflow.
at::ScalarType residual_dtype(at::ScalarType compute);

/// What a rank keeps for pictures of one size: every buffer of the blocks.
struct Scratch {
  /// Collective over `sequence`.
  Scratch(const TransformerConfig& config, const Cut& cut, const Picture& picture, const Placing& placing,
          Communicator& sequence);

  JointAttention attention;
  TokenRows joint;
  TokenRows txt, img;   // of joint
  at::Tensor latents;   // [image rows, in_channels] of the compute dtype: what the transformer reads
  at::Tensor velocity;  // [image rows, in_channels] fp32: what it predicts
};

/// Bytes of the scratch of one rank of the cut, the gathered keys and values included.
int64_t scratch_bytes(const TransformerConfig& config, const Cut& cut, int rank, at::ScalarType compute);

}  // namespace flux
