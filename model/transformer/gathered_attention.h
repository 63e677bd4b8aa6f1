#pragma once

#include "model/context_parallel.h"
#include "model/transformer/joint_attention.h"

namespace flux {

/// Every rank gathers the keys and values of all tokens (ContextParallel::gather).
class GatheredMemory : public AttentionMemory {
 public:
  /// Of at most so many tokens, of which a rank has at most `rows`. Where the exchange rounds, all ranks' keys and
  /// values are rounded, this rank's too. Collective over `sequence`.
  GatheredMemory(const AttentionShape& shape, int64_t tokens, int64_t rows, const Exchange& exchange,
                 Communicator& sequence);

  int64_t bytes() const override { return bytes_; }
  std::unique_ptr<JointAttention> attention(const Cut& cut, Communicator& sequence) const override;

  struct Buffers {
    at::Tensor keys_values;       // [tokens, 2, heads, head_dim], or as much; codes where those are attended to
    at::Tensor rounded;           // [tokens, rounded_bytes] of codes that travel and are widened; or undefined
    at::Tensor own, q, attended;  // of rows: keys and values that become codes, and codes; or undefined
  };

 private:
  Buffers buffers_;
  int64_t bytes_ = 0;
};

}  // namespace flux
