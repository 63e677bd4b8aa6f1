#pragma once

#include <ATen/ATen.h>

#include "model/checkpoint/layers.h"
#include "model/checkpoint/weights.h"
#include "model/config.h"
#include "model/linear/linear.h"

namespace flux {

/// The encoder of T5 v1.1: RMS norms, relative position bias, gated GELU. transformers: T5EncoderModel.
/// The residual stream, the norms and, in fp16, the feed-forward's last product are fp32: T5-XXL's activations leave
/// fp16's range.
class T5Encoder {
 public:
  T5Encoder(const Weights& weights, const T5Config& config);

  /// ids: [tokens], int64, on the encoder's device. Returns [tokens, d_model] in the compute dtype.
  /// Nothing is masked: FLUX.1 lets padding attend and be attended to.
  at::Tensor operator()(const at::Tensor& ids) const;

 private:
  struct Block {
    at::Tensor attention_norm;  // [d_model]
    Linear qkv, o;
    at::Tensor feed_forward_norm;  // [d_model]
    Linear wi, wo;                 // wi: [wi_0 | wi_1]
  };
  static Block block(const Weights& block, const T5Config& config);

  at::Tensor norm(const at::Tensor& hidden, const at::Tensor& weight) const;
  at::Tensor attention(const Block& block, const at::Tensor& x, const at::Tensor& bias) const;
  at::Tensor feed_forward(const Block& block, const at::Tensor& x) const;
  at::Tensor position_bias(int64_t tokens) const;

  T5Config config_;
  at::ScalarType compute_;
  at::Tensor embedding_;           // [vocab_size, d_model]
  at::Tensor relative_attention_;  // [buckets, heads]: block 0's, used by all
  Layers<Block> blocks_;
  at::Tensor final_norm_;  // [d_model]
};

/// The bucket of each relative position (key - query), int64: exact near by, logarithmic up to max_distance, with one
/// half of the buckets for each direction.
at::Tensor relative_position_bucket(const at::Tensor& relative_position, int64_t buckets, int64_t max_distance);

}  // namespace flux
