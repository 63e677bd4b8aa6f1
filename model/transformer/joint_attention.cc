#include "model/transformer/joint_attention.h"

#include "model/kernels/dequantize.h"
#include "model/kernels/quantize_rows.h"

namespace flux {

namespace {

at::Tensor heads_first(const at::Tensor& x) { return x.transpose(0, 1).unsqueeze(0); }  // [1, heads, tokens, head_dim]

/// A CPU takes queries in blocks, and the few that are left by another routine, which sums in another order: a row's
/// result would depend on how many there are.
at::Tensor without_few_left(const at::Tensor& q) {
  constexpr int64_t whole = 8;  // divides every size of a block
  const int64_t left = q.size(0) % whole;
  return q.is_cpu() && left != 0 ? at::constant_pad_nd(q, {0, 0, 0, 0, 0, whole - left}) : q;
}

}  // namespace

JointAttention::JointAttention(const at::Tensor& keys_values, const at::Tensor& rounded, const Cut& cut,
                               Communicator& sequence)
    : sequence_(sequence),
      rows_(cut.rows_by_rank()),
      all_(keys_values.narrow(0, 0, cut.tokens())),
      mine_(all_.narrow(0, cut.begin(sequence.rank()), cut.rows(sequence.rank()))),
      travels_(rounded.defined() ? rounded.narrow(0, 0, cut.tokens()) : all_) {
  const int64_t heads = all_.size(2), head_dim = all_.size(3);
  for (int rank = 0; rounded.defined() && rank < sequence.size(); ++rank) {
    const int64_t count = cut.rows(rank) * 2 * heads;  // of heads
    const at::Tensor bytes = travels_.narrow(0, cut.begin(rank), cut.rows(rank)).flatten();
    const auto codes = bytes.narrow(0, 0, count * head_dim).view(at::kChar).view({count, head_dim});
    const auto scales = bytes.narrow(0, count * head_dim, count * 4).view(at::kFloat);
    rounded_.push_back({{codes, scales}, all_.narrow(0, cut.begin(rank), cut.rows(rank)).view({count, head_dim})});
  }
}

void JointAttention::send() {
  if (!rounded_.empty()) {
    const Rounded& own = rounded_[static_cast<size_t>(sequence_.rank())];
    quantize_rows(own.widened, own.codes);
  }
  travelling_.emplace(sequence_.all_gather(travels_, rows_));
}

void JointAttention::attend(const at::Tensor& q, const at::Tensor& out) {
  travelling_->wait();
  travelling_.reset();
  if (q.size(0) == 0) return;
  for (const Rounded& rank : rounded_) dequantize(rank.codes, rank.widened);
  const auto keys = heads_first(all_.select(1, 0));
  const auto values = heads_first(all_.select(1, 1));
  const auto attended = at::scaled_dot_product_attention(heads_first(without_few_left(q)), keys, values);
  out.unflatten(1, {q.size(1), q.size(2)}).copy_(attended.squeeze(0).transpose(0, 1).narrow(0, 0, q.size(0)));
}

}  // namespace flux
