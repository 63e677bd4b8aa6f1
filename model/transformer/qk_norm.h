#pragma once

#include <ATen/ATen.h>

#include <string>

#include "model/checkpoint/weights.h"
#include "model/kernels/rms_norm_rope.h"
#include "model/transformer/rotary.h"

namespace flux {

/// RMS norm of every head's queries or keys, then their rotation. diffusers: FluxAttention.norm_q, norm_k,
/// norm_added_q, norm_added_k and apply_rotary_emb.
class QkNorm {
 public:
  QkNorm(const Weights& attention, const std::string& name, int64_t head_dim)
      : weight_(attention.in(at::kFloat).tensor(name + ".weight", {head_dim})) {}

  /// x: [tokens, heads, head_dim], tokens may be strided; out: the same place, or that of its codes.
  void operator()(const at::Tensor& x, const Rotary& pe, const at::Tensor& out) const {
    rms_norm_rope(x, weight_, pe.cos, pe.sin, out);
  }

 private:
  at::Tensor weight_;  // [head_dim] fp32
};

}  // namespace flux
