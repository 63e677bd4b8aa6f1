#pragma once

#include "model/context_parallel.h"
#include "model/transformer/joint_attention.h"

namespace flux {

/// Every rank attends with its share of the heads over all tokens, which come to it and go back (ContextParallel::
/// ulysses). P ranks, that divide the heads, send 4 / P of what all have, where they would gather 2: the less, the more
/// they are.
class UlyssesMemory : public AttentionMemory {
 public:
  /// Of at most so many tokens, of which a rank has at most `rows`. `exchange`: as GatheredMemory; in fp8
  /// queries, keys, values and what is attended to are codes wherever they travel. Collective over `sequence`.
  UlyssesMemory(const AttentionShape& shape, int64_t tokens, int64_t rows, const Exchange& exchange,
                Communicator& sequence);

  int64_t bytes() const override { return bytes_; }
  std::unique_ptr<JointAttention> attention(const Cut& cut, Communicator& sequence) const override;

  /// A rank's memory: of so many values, or bytes, at least.
  struct Buffers {
    at::Tensor own;                       // keys and values of its tokens, all heads, as they are written
    at::Tensor sent_keys_values, sent_q;  // of its tokens, by the rank they go to
    at::Tensor keys_values, q;            // of its heads, all tokens
    at::Tensor attended;                  // of its heads, all tokens
    at::Tensor returned;                  // of its tokens, by the rank they come from: where sent_keys_values was
    at::Tensor sent_rounded, rounded;     // what sent_keys_values and keys_values are on their way; or undefined
  };

 private:
  AttentionShape shape_;
  Buffers buffers_;
  int64_t bytes_ = 0;
};

}  // namespace flux
