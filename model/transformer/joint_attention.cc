#include "model/transformer/joint_attention.h"

#include <algorithm>

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

/// In how many parts heads travel. Where ranks wait for each other half of them are attended to while the others are on
/// their way; but not where that leaves a rank with so little at once that a library divides the keys among the
/// multiprocessors of a card, and sums in another order: flash attention does below 1.6 blocks of 64 rows of a head for
/// each of them, and cards have up to 160.
int64_t parts_of(int64_t heads, const Cut& cut) {
  constexpr int64_t block = 64, blocks = 256;
  const std::vector<int64_t> rows = cut.rows_by_rank();
  const int64_t fewest = std::ranges::min(rows), of_half = heads / 2 * ((fewest + block - 1) / block);
  return rows.size() > 1 && heads % 2 == 0 && of_half >= blocks ? 2 : 1;
}

}  // namespace

JointAttention::JointAttention(const at::Tensor& keys_values, const at::Tensor& rounded, const Cut& cut,
                               Communicator& sequence)
    : sequence_(sequence),
      rows_(cut.rows_by_rank()),
      all_(keys_values.narrow(0, 0, cut.tokens())),
      mine_(all_.narrow(0, cut.begin(sequence.rank()), cut.rows(sequence.rank()))) {
  const int64_t heads = all_.size(2);
  if (!rounded.defined()) parts_.push_back({0, heads, all_});
  const int64_t parts = rounded.defined() ? parts_of(heads, cut) : 0;
  for (int64_t part = 0; part < parts; ++part) {
    const at::Tensor travels = rounded.narrow(0, 0, cut.tokens()).view({parts, cut.tokens(), -1})[part];
    parts_.push_back({part * heads / parts, heads / parts, travels});
    parts_.back().rounded = this->rounded(parts_.back(), cut);
  }
}

std::vector<JointAttention::Rounded> JointAttention::rounded(const Part& part, const Cut& cut) const {
  const int64_t head_dim = all_.size(3);
  std::vector<Rounded> by_rank;
  for (int rank = 0; rank < sequence_.size(); ++rank) {
    const int64_t count = cut.rows(rank) * 2 * part.heads;
    const at::Tensor bytes = part.travels.narrow(0, cut.begin(rank), cut.rows(rank)).flatten();
    const auto codes = bytes.narrow(0, 0, count * head_dim).view({count, head_dim});
    const auto scales = bytes.narrow(0, count * head_dim, count * 4).view(at::kFloat);
    const auto widened =
        all_.narrow(0, cut.begin(rank), cut.rows(rank)).narrow(2, part.first, part.heads).flatten(0, 1);
    by_rank.push_back({{codes, scales}, widened});
  }
  return by_rank;
}

void JointAttention::send() {
  for (Part& part : parts_) {
    if (!part.rounded.empty()) {
      const Rounded& own = part.rounded[static_cast<size_t>(sequence_.rank())];
      quantize_rows(own.widened, own.codes);
    }
    part.travelling.emplace(sequence_.all_gather(part.travels, rows_));
  }
}

void JointAttention::attend(const at::Tensor& q, const at::Tensor& out) {
  const at::Tensor queries = heads_first(without_few_left(q)), attended = out.unflatten(1, {q.size(1), q.size(2)});
  for (Part& part : parts_) {
    part.travelling->wait();
    part.travelling.reset();
    if (q.size(0) == 0) continue;
    for (const Rounded& rank : part.rounded) dequantize(rank.codes, rank.widened);
    const auto of = [&](const at::Tensor& heads) { return heads.narrow(1, part.first, part.heads); };
    const auto result = at::scaled_dot_product_attention(of(queries), of(heads_first(all_.select(1, 0))),
                                                         of(heads_first(all_.select(1, 1))));
    of(attended).copy_(result.squeeze(0).transpose(0, 1).narrow(0, 0, q.size(0)));
  }
}

}  // namespace flux
