#include "model/transformer/ulysses_attention.h"

#include <optional>
#include <vector>

#include "model/kernels/attention.h"
#include "model/kernels/attention_codes.h"
#include "model/kernels/quantize_operand.h"
#include "model/transformer/rounded_rows.h"

namespace flux {
namespace {

using Buffers = UlyssesMemory::Buffers;

at::Tensor first(const at::Tensor& buffer, at::IntArrayRef sizes) {
  return buffer.narrow(0, 0, c10::multiply_integers(sizes)).view(sizes);
}

/// [tokens, ..., heads, head_dim] -> [ranks, tokens, ..., heads of a rank, head_dim]
at::Tensor by_rank(const at::Tensor& all_heads, int64_t ranks) {
  return all_heads.unflatten(-2, {ranks, all_heads.size(-2) / ranks}).movedim(-3, 0);
}

class UlyssesAttention : public JointAttention {
 public:
  UlyssesAttention(const AttentionShape& shape, const Buffers& buffers, const Cut& cut, Communicator& sequence);

  size_t parts() const override { return 1; }
  const at::Tensor& keys_values(size_t /*part*/) const override { return own_; }
  void send(size_t part) override;
  void send_queries(const at::Tensor& q) override;
  void attend(const at::Tensor& out) override;

 private:
  Communicator& sequence_;
  std::vector<int64_t> all_rows_;       // by rank
  std::vector<int64_t> own_rows_;       // as many times as there are ranks
  at::Tensor own_;                      // [rows, 2, all heads, head_dim]
  at::Tensor sent_keys_values_;         // [ranks, rows, 2, heads, head_dim]
  at::Tensor sent_q_;                   // [ranks, rows, heads, head_dim]
  at::Tensor keys_values_, q_;          // [tokens, 2, heads, head_dim], [tokens, heads, head_dim]
  at::Tensor sent_rounded_, rounded_;   // [ranks * rows, rounded_bytes], [tokens, rounded_bytes]
  std::vector<RoundedRows> to_, from_;  // by rank; empty where nothing is rounded
  at::Tensor attended_, returned_;      // [tokens, heads, head_dim], [ranks, rows, heads, head_dim]
  std::optional<Pending> keys_values_come_, queries_come_;
};

UlyssesAttention::UlyssesAttention(const AttentionShape& shape, const Buffers& buffers, const Cut& cut,
                                   Communicator& sequence)
    : sequence_(sequence),
      all_rows_(cut.rows_by_rank()),
      own_rows_(static_cast<size_t>(sequence.size()), cut.rows(sequence.rank())) {
  const int64_t ranks = sequence.size(), heads = shape.heads / ranks, d = shape.head_dim;
  const int64_t rows = own_rows_.front(), tokens = cut.tokens();
  own_ = first(buffers.own, {rows, 2, shape.heads, d});
  sent_keys_values_ = first(buffers.sent_keys_values, {ranks, rows, 2, heads, d});
  sent_q_ = first(buffers.sent_q, {ranks, rows, heads, d});
  keys_values_ = first(buffers.keys_values, {tokens, 2, heads, d});
  q_ = first(buffers.q, {tokens, heads, d});
  if (buffers.rounded.defined()) {
    sent_rounded_ = first(buffers.sent_rounded, {ranks * rows, rounded_bytes(heads, d)});
    rounded_ = first(buffers.rounded, {tokens, rounded_bytes(heads, d)});
    to_ = rounded_by_rank(sent_keys_values_.flatten(0, 1), sent_rounded_, own_rows_);
    from_ = rounded_by_rank(keys_values_, rounded_, all_rows_);
  }
  attended_ = first(buffers.attended, {tokens, heads, d});
  returned_ = first(buffers.returned, {ranks, rows, heads, d});
}

void UlyssesAttention::send(size_t /*part*/) {
  attention_codes(by_rank(own_, sequence_.size()), sent_keys_values_);
  for (const RoundedRows& rank : to_) rank.round();
  keys_values_come_.emplace(
      to_.empty() ? sequence_.all_to_all(keys_values_, all_rows_, sent_keys_values_.flatten(0, 1), own_rows_)
                  : sequence_.all_to_all(rounded_, all_rows_, sent_rounded_, own_rows_));
}

void UlyssesAttention::send_queries(const at::Tensor& q) {
  attention_codes(by_rank(q, sequence_.size()), sent_q_);
  queries_come_.emplace(sequence_.all_to_all(q_, all_rows_, sent_q_.flatten(0, 1), own_rows_));
}

void UlyssesAttention::attend(const at::Tensor& out) {
  keys_values_come_->wait();
  for (const RoundedRows& rank : from_) rank.widen();
  queries_come_->wait();
  attention(q_, keys_values_.select(1, 0), keys_values_.select(1, 1), attended_);
  sequence_.all_to_all(returned_.flatten(0, 1), own_rows_, attended_, all_rows_).wait();
  attention_codes(returned_, by_rank(out.unflatten(1, {-1, q_.size(2)}), sequence_.size()));
}

}  // namespace

UlyssesMemory::UlyssesMemory(const AttentionShape& shape, int64_t tokens, int64_t rows, const Exchange& exchange,
                             Communicator& sequence)
    : shape_(shape) {
  const auto& [heads, d, options] = shape;
  const int64_t ranks = sequence.size(), of_rank = heads / ranks;
  const auto counted = [&](at::Tensor memory) {
    bytes_ += static_cast<int64_t>(memory.nbytes());
    return memory;
  };
  const auto travels = [&](int64_t values, at::ScalarType dtype) {
    return counted(sequence.buffer({values}, options.dtype(dtype)));
  };
  const at::ScalarType as = attended_dtype(exchange.attention, c10::typeMetaToScalarType(options.dtype()));
  buffers_.own = counted(at::empty({rows * 2 * heads * d}, options));
  buffers_.sent_keys_values = travels(rows * 2 * heads * d, as);
  buffers_.sent_q = travels(rows * heads * d, as);
  buffers_.keys_values = travels(tokens * 2 * of_rank * d, as);
  buffers_.q = travels(tokens * of_rank * d, as);
  buffers_.attended = travels(tokens * of_rank * d, as);
  buffers_.returned = buffers_.sent_keys_values;
  if (exchange.keys_values == Format::dense) return;
  buffers_.sent_rounded = travels(ranks * rows * rounded_bytes(of_rank, d), code_dtype(exchange.keys_values));
  buffers_.rounded = travels(tokens * rounded_bytes(of_rank, d), code_dtype(exchange.keys_values));
}

std::unique_ptr<JointAttention> UlyssesMemory::attention(const Cut& cut, Communicator& sequence) const {
  return std::make_unique<UlyssesAttention>(shape_, buffers_, cut, sequence);
}

}  // namespace flux
