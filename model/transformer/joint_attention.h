#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "model/format.h"
#include "model/kernels/quantize_operand.h"
#include "model/transformer/cut.h"
#include "parallel/communicator.h"

namespace flux {

/// Attention of a rank's queries over the keys and values of all ranks: the only place in a step where ranks meet.
/// Every rank writes and sends each part in turn, then its queries, and attends, also one that holds no rows.
class JointAttention {
 public:
  virtual ~JointAttention() = default;

  /// Heads whose keys and values travel together: all of them, or either half.
  virtual size_t parts() const = 0;

  /// This rank's keys and values of a part, to be written before send: [rows, 2, heads of the part, head_dim]; and
  /// where the keys are to be once they are normalised and rotated, [rows, heads of the part, head_dim]: there, or as
  /// codes.
  virtual const at::Tensor& keys_values(size_t part) const = 0;
  virtual at::Tensor keys(size_t part) const { return keys_values(part).select(1, 0); }

  /// Where this rank's queries are to be once they are normalised and rotated: where they are, or as codes.
  virtual at::Tensor queries(const at::Tensor& q) const { return q; }

  /// They start to travel.
  virtual void send(size_t part) = 0;

  /// All of this rank's queries are there, [rows, heads, head_dim], until attend returns.
  virtual void send_queries(const at::Tensor& q) = 0;

  /// Waits for everybody's. out: [rows, heads * head_dim], may be a column range.
  virtual void attend(const at::Tensor& out) = 0;
};

/// What attention needs for the largest picture; a picture uses the first bytes of it.
class AttentionMemory {
 public:
  virtual ~AttentionMemory() = default;
  virtual int64_t bytes() const = 0;
  virtual std::unique_ptr<JointAttention> attention(const Cut& cut, Communicator& sequence) const = 0;
};

/// Of attention over heads of a kind.
struct AttentionShape {
  int64_t heads, head_dim;
  at::TensorOptions options;  // dtype and device of queries, keys and values
};

/// Of queries, keys and values as they are attended to, and as ulysses sends them.
inline at::ScalarType attended_dtype(Format attention, at::ScalarType compute) {
  return attention == Format::dense ? compute : code_dtype(attention);
}

/// Of a token's keys and values rounded, and their scales: one for each head.
constexpr int64_t rounded_bytes(int64_t heads, int64_t head_dim) { return 2 * heads * (head_dim + 4); }

}  // namespace flux
