#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "model/transformer/cut.h"
#include "parallel/communicator.h"

namespace flux {

/// Attention of a rank's queries over the keys and values of all ranks: the only place in a step where ranks meet.
/// Every rank calls keys_values, send and attend in turn, also one that holds no rows.
class JointAttention {
 public:
  /// keys_values: [at least as many tokens as the cut has, 2, heads, head_dim], a buffer of the communicator's.
  JointAttention(const at::Tensor& keys_values, const Cut& cut, Communicator& sequence);

  /// This rank's keys and values, to be written before send: [rows, 2, heads, head_dim].
  const at::Tensor& keys_values() const { return mine_; }

  /// The keys and values, rotated, start to travel.
  void send();

  /// Waits for everybody's. q: [rows, heads, head_dim]; out: [rows, heads * head_dim], may be a column range.
  void attend(const at::Tensor& q, const at::Tensor& out);

 private:
  Communicator& sequence_;
  std::vector<int64_t> rows_;  // by rank
  at::Tensor all_;             // [tokens, 2, heads, head_dim]
  at::Tensor mine_;
  std::optional<Pending> travelling_;
};

}  // namespace flux
