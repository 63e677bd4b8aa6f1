#pragma once

#include <ATen/ATen.h>

#include "model/checkpoint/weights.h"
#include "model/config.h"
#include "model/linear/linear.h"
#include "model/transformer/projections.h"
#include "model/transformer/scratch.h"
#include "model/transformer/shift_scale_gate.h"

namespace flux {

/// Attention and MLP in parallel over the joint sequence. diffusers: FluxSingleTransformerBlock.
class SingleBlock : private Projections {
 public:
  SingleBlock(const Weights& weights, const TransformerConfig& config);

  /// scratch.joint.residual += gate * out([attention | gelu(up)]), both of its normed rows; then normalised for what
  /// comes next.
  void operator()(Scratch& scratch, const at::Tensor& gate, const NextNorm& next) const;

 private:
  Linear up_, out_;
};

}  // namespace flux
