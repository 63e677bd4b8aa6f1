#pragma once

#include <ATen/ATen.h>

#include "model/checkpoint/weights.h"
#include "model/config.h"
#include "model/linear/linear.h"
#include "model/transformer/qk_norm.h"
#include "model/transformer/scratch.h"
#include "model/transformer/shift_scale_gate.h"

namespace flux {

/// Attention and MLP in parallel over the joint sequence. diffusers: FluxSingleTransformerBlock.
class SingleBlock {
 public:
  SingleBlock(const Weights& weights, const TransformerConfig& config);

  /// joint.residual += gate * out([attention | gelu(up)]), both of joint.normed; then normalised for what comes next.
  void operator()(const TokenRows& joint, const at::Tensor& gate, const NextNorm& next,
                  JointAttention& attention) const;

 private:
  Linear kv_, q_, up_, out_;
  QkNorm norm_k_, norm_q_;
};

}  // namespace flux
