#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "model/linear/activation.h"
#include "model/transformer/cut.h"
#include "parallel/communicator.h"

namespace flux {

/// Attention of a rank's queries over the keys and values of all ranks: the only place in a step where ranks meet.
/// Every rank writes and sends each part in turn, and attends, also one that holds no rows.
class JointAttention {
 public:
  /// keys_values: of at least as many tokens as the cut has, [tokens, 2, heads, head_dim]. It travels itself, and is a
  /// buffer of the communicator's; or where `rounded` is defined ([tokens, rounded_bytes] of int8 or e4m3, such a
  /// buffer) that does, codes with a scale for each head of a token. Then all ranks' keys and values are rounded, this
  /// rank's too.
  JointAttention(const at::Tensor& keys_values, const at::Tensor& rounded, const Cut& cut, Communicator& sequence);

  /// Of a token's keys and values and their scales.
  static int64_t rounded_bytes(int64_t heads, int64_t head_dim) { return 2 * heads * (head_dim + 4); }

  /// Heads that travel, and are attended to, together: all of them, or either half.
  size_t parts() const { return parts_.size(); }

  /// This rank's keys, normalised and rotated, and values of a part, to be written before send: [rows, 2, heads of the
  /// part, head_dim].
  const at::Tensor& keys_values(size_t part) const { return parts_[part].mine; }

  /// They start to travel.
  void send(size_t part);

  /// Waits for everybody's. q: [rows, heads, head_dim]; out: [rows, heads * head_dim], may be a column range.
  void attend(const at::Tensor& q, const at::Tensor& out);

 private:
  /// A rank's rows of a part as they travel: all codes, then all scales.
  struct Rounded {
    Activation codes;    // [rows * 2 * heads, head_dim]
    at::Tensor widened;  // [rows * 2 * heads, head_dim]
  };

  struct Part {
    int64_t first, heads;
    at::Tensor all;                  // [tokens, 2, heads, head_dim]
    at::Tensor mine;                 // this rank's rows
    at::Tensor travels;              // everybody's: all, or what that is rounded to
    std::vector<Rounded> rounded{};  // by rank; empty where nothing is rounded
    std::optional<Pending> travelling{};
  };

  std::vector<Rounded> rounded(const Part& part, const Cut& cut) const;

  Communicator& sequence_;
  std::vector<int64_t> rows_;  // by rank
  std::vector<Part> parts_;
};

}  // namespace flux
