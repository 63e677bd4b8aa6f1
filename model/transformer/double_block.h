#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <string>

#include "model/checkpoint/weights.h"
#include "model/config.h"
#include "model/linear/linear.h"
#include "model/transformer/projections.h"
#include "model/transformer/scratch.h"
#include "model/transformer/shift_scale_gate.h"

namespace flux {

/// The checkpoint's names of one stream of a double block.
struct StreamNames {
  ProjectionNames projections;
  std::string out, mlp;
};

/// Text or image in a double block: weights of its own around the attention that both share.
class Stream : public Projections {
 public:
  Stream(const Weights& block, const TransformerConfig& config, const StreamNames& names);

  /// Each adds its branch to the residual and normalises it for the next branch: in rows.normed, or as `next` says.
  void add_attention(const TokenRows& rows, const at::Tensor& gate, const ShiftScale& next) const;
  void add_mlp(const TokenRows& rows, const at::Tensor& gate, const NextNorm& next) const;

 private:
  Linear out_, up_, down_;
};

/// Attention over both streams, then an MLP for each. diffusers: FluxTransformerBlock.
class DoubleBlock {
 public:
  /// The modulation of both streams, attention before MLP.
  struct Modulations {
    ShiftScaleGate img_attention, img_mlp, txt_attention, txt_mlp;
  };

  /// The text stream's weights are read only where text is held. In int8-outliers other ranks take part in its
  /// products.
  DoubleBlock(const Weights& weights, const TransformerConfig& config, bool holds_text);

  /// The norms that the next block reads.
  struct Next {
    NextNorm img, txt;
  };

  /// Reads img.normed and txt.normed, which the block before it left.
  void operator()(Scratch& scratch, const Modulations& modulations, const Next& next) const;

 private:
  std::optional<Stream> txt_;
  Stream img_;
};

}  // namespace flux
