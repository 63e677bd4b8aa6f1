#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "model/checkpoint/weights.h"
#include "model/config.h"
#include "model/linear/linear.h"
#include "model/transformer/double_block.h"
#include "model/transformer/modulation_layout.h"
#include "model/transformer/scratch.h"
#include "model/transformer/single_block.h"

namespace flux {

/// One rank's share of FLUX.1's transformer: all blocks, over the rows that it holds. Modulation and the context
/// embedder are not here: they are the encoder's. diffusers: FluxTransformer2DModel.
class Transformer {
 public:
  /// `weights`: the root of the component. Text-stream weights are read only where text is held.
  Transformer(const Weights& weights, const TransformerConfig& config, bool holds_text);

  /// latents: [image rows, in_channels] of this rank. txt: [text rows, d] of this rank, embedded.
  /// row: of the modulation, [n] fp32, one step's. Leaves the velocity of this rank's latents in scratch.velocity.
  void operator()(const at::Tensor& latents, const at::Tensor& txt, const at::Tensor& row, Scratch& scratch) const;

 private:
  ModulationLayout layout_;
  Linear x_embedder_;
  std::vector<DoubleBlock> double_blocks_;
  std::vector<SingleBlock> single_blocks_;
  Linear proj_out_;
};

}  // namespace flux
