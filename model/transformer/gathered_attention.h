#pragma once

#include "model/format.h"
#include "model/transformer/joint_attention.h"

namespace flux {

/// Every rank gathers the keys and values of all tokens (ContextParallel::gather).
class GatheredMemory : public AttentionMemory {
 public:
  /// `exchange`: dense, or int8 or fp8: then all ranks' keys and values are rounded, this rank's too. Collective over
  /// `sequence`.
  GatheredMemory(const AttentionShape& shape, int64_t tokens, Format exchange, Communicator& sequence);

  int64_t bytes() const override { return bytes_; }
  std::unique_ptr<JointAttention> attention(const Cut& cut, Communicator& sequence) const override;

 private:
  at::Tensor keys_values_;  // [tokens, 2, heads, head_dim], or as much
  at::Tensor rounded_;      // [tokens, rounded_bytes] of codes, where those travel
  int64_t bytes_;
};

}  // namespace flux
