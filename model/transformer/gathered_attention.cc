#include "model/transformer/gathered_attention.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "built_with.h"
#include "model/kernels/attention.h"
#include "model/kernels/attention_codes.h"
#include "model/kernels/quantize_operand.h"
#include "model/transformer/rounded_rows.h"

#if FLUX_CUDA
#include <ATen/cuda/CUDAContext.h>
#endif

namespace flux {
namespace {

/// Of a card; elsewhere as many as the largest cards have.
int64_t multiprocessors([[maybe_unused]] at::Device device) {
#if FLUX_CUDA
  if (device.is_cuda()) return at::cuda::getDeviceProperties(device.index())->multiProcessorCount;
#endif
  return 160;
}

/// In how many parts heads travel. Where ranks wait for each other half of them are attended to while the others are on
/// their way; but not where that leaves a rank with so little at once that a library divides the keys among the
/// multiprocessors of a card, and sums in another order: flash attention does below 1.6 blocks of 64 rows of a head for
/// each of them.
int64_t parts_of(const at::Tensor& keys_values, const std::vector<int64_t>& rows_by_rank) {
  constexpr int64_t block = 64;
  const int64_t heads = keys_values.size(2), fewest = std::ranges::min(rows_by_rank);
  const int64_t blocks_of_half = heads / 2 * ((fewest + block - 1) / block);
  const bool enough = 10 * blocks_of_half >= 16 * multiprocessors(keys_values.device());
  return rows_by_rank.size() > 1 && heads % 2 == 0 && enough ? 2 : 1;
}

struct GatheredPart {
  int64_t first, heads;
  at::Tensor all;                      // [tokens, 2, heads, head_dim]
  at::Tensor own;                      // this rank's rows of them
  at::Tensor written;                  // where this rank's are written: own, or what becomes their codes
  at::Tensor travels;                  // everybody's: all, or what that is rounded to
  std::vector<RoundedRows> rounded{};  // by rank; empty where nothing is rounded
  std::optional<Pending> travelling{};
};

class GatheredAttention : public JointAttention {
 public:
  GatheredAttention(const GatheredMemory::Buffers& buffers, const Cut& cut, Communicator& sequence);

  size_t parts() const override { return parts_.size(); }
  const at::Tensor& keys_values(size_t part) const override { return parts_[part].written; }
  void send(size_t part) override;
  at::Tensor keys(size_t part) const override { return parts_[part].own.select(1, 0); }
  at::Tensor queries(const at::Tensor& q) const override { return q_codes_.defined() ? q_codes_ : q; }
  void send_queries(const at::Tensor& q) override { q_ = q; }
  void attend(const at::Tensor& out) override;

 private:
  Communicator& sequence_;
  std::vector<int64_t> rows_;  // by rank
  std::vector<GatheredPart> parts_;
  at::Tensor q_, q_codes_, attended_codes_;  // [rows, heads, head_dim]
};

GatheredAttention::GatheredAttention(const GatheredMemory::Buffers& buffers, const Cut& cut, Communicator& sequence)
    : sequence_(sequence), rows_(cut.rows_by_rank()) {
  const auto& [keys_values, rounded, own, q, attended] = buffers;
  const int64_t heads = keys_values.size(2), head_dim = keys_values.size(3), tokens = cut.tokens();
  const int64_t parts = parts_of(keys_values, rows_), each = heads / parts, rows = cut.rows(sequence.rank());
  const at::Tensor all = keys_values.narrow(0, 0, tokens).view({parts, tokens, 2, each, head_dim});
  for (int64_t index = 0; index < parts; ++index) {
    const at::Tensor mine = all[index].narrow(0, cut.begin(sequence.rank()), rows);
    GatheredPart& part = parts_.emplace_back(index * each, each, all[index], mine, mine, all[index]);
    if (own.defined()) part.written = own.narrow(0, 0, rows).view({parts, rows, 2, each, head_dim})[index];
    if (!rounded.defined()) continue;
    part.travels = rounded.narrow(0, 0, tokens).view({parts, tokens, -1})[index];
    part.rounded = rounded_by_rank(part.all, part.travels, rows_);
  }
  if (!own.defined()) return;
  q_codes_ = q.narrow(0, 0, rows);
  attended_codes_ = attended.narrow(0, 0, rows);
}

void GatheredAttention::send(size_t index) {
  GatheredPart& part = parts_[index];
  if (q_codes_.defined()) attention_codes(part.written.select(1, 1), part.own.select(1, 1));
  if (!part.rounded.empty()) part.rounded[static_cast<size_t>(sequence_.rank())].round();
  part.travelling.emplace(sequence_.all_gather(part.travels, rows_));
}

void GatheredAttention::attend(const at::Tensor& out) {
  const at::Tensor values = out.unflatten(1, {q_.size(1), q_.size(2)});
  const at::Tensor attended = attended_codes_.defined() ? attended_codes_ : values;
  for (GatheredPart& part : parts_) {
    part.travelling->wait();
    part.travelling.reset();
    for (const RoundedRows& rank : part.rounded) rank.widen();
    attention(q_.narrow(1, part.first, part.heads), part.all.select(1, 0), part.all.select(1, 1),
              attended.narrow(1, part.first, part.heads));
  }
  if (attended_codes_.defined()) attention_codes(attended_codes_, values);
}

}  // namespace

GatheredMemory::GatheredMemory(const AttentionShape& shape, int64_t tokens, int64_t rows, const Exchange& exchange,
                               Communicator& sequence) {
  const auto& [heads, head_dim, options] = shape;
  const auto counted = [&](at::Tensor memory) {
    bytes_ += static_cast<int64_t>(memory.nbytes());
    return memory;
  };
  const std::vector<int64_t> all{tokens, 2, heads, head_dim};
  if (exchange.attention != Format::dense) {
    const at::TensorOptions codes = options.dtype(code_dtype(exchange.attention));
    buffers_.keys_values = counted(sequence.buffer(all, codes));
    buffers_.own = counted(at::empty({rows, 2, heads, head_dim}, options));
    buffers_.q = counted(at::empty({rows, heads, head_dim}, codes));
    buffers_.attended = counted(at::empty({rows, heads, head_dim}, codes));
  } else if (exchange.keys_values != Format::dense) {
    buffers_.keys_values = counted(at::empty(all, options));
    buffers_.rounded = counted(
        sequence.buffer({tokens, rounded_bytes(heads, head_dim)}, options.dtype(code_dtype(exchange.keys_values))));
  } else {
    buffers_.keys_values = counted(sequence.buffer(all, options));
  }
}

std::unique_ptr<JointAttention> GatheredMemory::attention(const Cut& cut, Communicator& sequence) const {
  return std::make_unique<GatheredAttention>(buffers_, cut, sequence);
}

}  // namespace flux
