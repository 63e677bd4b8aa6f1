#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "model/linear/activation.h"
#include "model/transformer/cut.h"
#include "parallel/communicator.h"

namespace flux {

/// Attention of a rank's queries over the keys and values of all ranks: the only place in a step where ranks meet.
/// Every rank calls keys_values, send and attend in turn, also one that holds no rows.
class JointAttention {
 public:
  /// keys_values: [at least as many tokens as the cut has, 2, heads, head_dim]. It travels itself, and is a buffer of
  /// the communicator's; or where `rounded` is defined ([tokens, rounded_bytes] of int8 or e4m3, such a buffer) that
  /// does, codes with a scale for each head of a token. Then all ranks' keys and values are rounded, this rank's too.
  JointAttention(const at::Tensor& keys_values, const at::Tensor& rounded, const Cut& cut, Communicator& sequence);

  /// Of a token's keys and values and their scales.
  static int64_t rounded_bytes(int64_t heads, int64_t head_dim) { return 2 * heads * (head_dim + 4); }

  /// This rank's keys and values, to be written before send: [rows, 2, heads, head_dim].
  const at::Tensor& keys_values() const { return mine_; }

  /// The keys and values, rotated, start to travel.
  void send();

  /// Waits for everybody's. q: [rows, heads, head_dim]; out: [rows, heads * head_dim], may be a column range.
  void attend(const at::Tensor& q, const at::Tensor& out);

 private:
  /// Some heads of a rank's rows as they travel: all codes, then all scales.
  struct Rounded {
    Activation codes;    // [rows * 2 * heads, head_dim]
    at::Tensor widened;  // [rows * 2, heads, head_dim], the same of keys and values
  };

  /// Heads that travel, and are attended to, together.
  struct Part {
    int64_t first, heads;
    at::Tensor travels;              // everybody's: keys and values, or what they are rounded to
    std::vector<Rounded> rounded{};  // by rank; empty where nothing is rounded
    std::optional<Pending> travelling{};
  };

  std::vector<Rounded> rounded(const Part& part, const Cut& cut) const;

  Communicator& sequence_;
  std::vector<int64_t> rows_;  // by rank
  at::Tensor all_;             // [tokens, 2, heads, head_dim]
  at::Tensor mine_;
  std::vector<Part> parts_;
};

}  // namespace flux
