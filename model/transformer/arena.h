#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "model/checkpoint/weights.h"
#include "model/config.h"
#include "model/context_parallel.h"
#include "model/request.h"
#include "model/transformer/joint_attention.h"
#include "parallel/communicator.h"
#include "parallel/rank/side_stream.h"

namespace flux {

/// The residual stream's dtype: fp32 where fp16 would overflow.
at::ScalarType residual_dtype(at::ScalarType compute);

/// Everything that a rank's steps write, allocated once and large enough for every picture of a demand. A picture uses
/// the first rows; nothing is left there for the next one.
class Arena {
 public:
  /// Collective over `sequence`. Over a source of shapes alone the placing's device is meta.
  Arena(const TransformerConfig& config, const Demand& demand, const Placing& placing, Communicator& sequence,
        const Exchange& exchange = {});

  int64_t bytes() const { return bytes_; }

  std::optional<c10::Stream> beside;  // for small products beside large ones

  std::unique_ptr<const AttentionMemory> attention;
  at::Tensor residual;       // [rows, d] of the residual's dtype
  at::Tensor normed;         // [rows, d]: codes where the blocks multiply them
  at::Tensor normed_scales;  // [rows] fp32, with codes
  at::Tensor q;              // [rows, heads, head_dim]
  at::Tensor joined;         // [rows, 5 d]
  at::Tensor codes;          // [rows * 5 d], with codes
  at::Tensor code_scales;    // [rows] fp32, with codes
  at::Tensor branch;         // [rows, d] of the residual's dtype
  at::Tensor cos, sin;       // [rows, head_dim / 2] fp32

  at::Tensor all_latents;     // [image tokens, in_channels] fp32, of all ranks
  at::Tensor latents;         // [image rows, in_channels] of the compute dtype
  at::Tensor velocity;        // [image rows, in_channels] fp32
  at::Tensor positive;        // the same, of the first of two branches
  at::Tensor txt;             // [2 branches, text rows, d]
  at::Tensor modulation;      // [2 branches, n] fp32, of one step
  at::Tensor sigma_step;      // [] fp32
  at::Tensor true_cfg_scale;  // [] fp32

 private:
  int64_t bytes_ = 0;
};

}  // namespace flux
