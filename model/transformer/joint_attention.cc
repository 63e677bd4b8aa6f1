#include "model/transformer/joint_attention.h"

#include <algorithm>

#include "built_with.h"
#include "model/kernels/attention.h"
#include "model/kernels/dequantize.h"
#include "model/kernels/quantize_rows.h"

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
int64_t parts_of(const at::Tensor& keys_values, const Cut& cut) {
  constexpr int64_t block = 64;
  const int64_t heads = keys_values.size(2), fewest = std::ranges::min(cut.rows_by_rank());
  const int64_t blocks_of_half = heads / 2 * ((fewest + block - 1) / block);
  const bool enough = 10 * blocks_of_half >= 16 * multiprocessors(keys_values.device());
  return cut.rows_by_rank().size() > 1 && heads % 2 == 0 && enough ? 2 : 1;
}

}  // namespace

JointAttention::JointAttention(const at::Tensor& keys_values, const at::Tensor& rounded, const Cut& cut,
                               Communicator& sequence)
    : sequence_(sequence), rows_(cut.rows_by_rank()) {
  const int64_t heads = keys_values.size(2), head_dim = keys_values.size(3), tokens = cut.tokens();
  const int64_t parts = parts_of(keys_values, cut), each = heads / parts;
  const at::Tensor all = keys_values.narrow(0, 0, tokens).view({parts, tokens, 2, each, head_dim});
  for (int64_t index = 0; index < parts; ++index) {
    Part& part = parts_.emplace_back(index * each, each, all[index]);
    part.mine = part.all.narrow(0, cut.begin(sequence.rank()), cut.rows(sequence.rank()));
    part.travels = rounded.defined() ? rounded.narrow(0, 0, tokens).view({parts, tokens, -1})[index] : part.all;
    if (rounded.defined()) part.rounded = this->rounded(part, cut);
  }
}

std::vector<JointAttention::Rounded> JointAttention::rounded(const Part& part, const Cut& cut) const {
  const int64_t head_dim = part.all.size(3);
  std::vector<Rounded> by_rank;
  for (int rank = 0; rank < sequence_.size(); ++rank) {
    const int64_t count = cut.rows(rank) * 2 * part.heads;
    const at::Tensor bytes = part.travels.narrow(0, cut.begin(rank), cut.rows(rank)).flatten();
    const auto codes = bytes.narrow(0, 0, count * head_dim).view({count, head_dim});
    const auto scales = bytes.narrow(0, count * head_dim, count * 4).view(at::kFloat);
    by_rank.push_back({{codes, scales}, part.all.narrow(0, cut.begin(rank), cut.rows(rank)).flatten(0, 2)});
  }
  return by_rank;
}

void JointAttention::send(size_t index) {
  Part& part = parts_[index];
  if (!part.rounded.empty()) {
    const Rounded& own = part.rounded[static_cast<size_t>(sequence_.rank())];
    quantize_rows(own.widened, own.codes);
  }
  part.travelling.emplace(sequence_.all_gather(part.travels, rows_));
}

void JointAttention::attend(const at::Tensor& q, const at::Tensor& out) {
  const at::Tensor attended = out.unflatten(1, {q.size(1), q.size(2)});
  for (Part& part : parts_) {
    part.travelling->wait();
    part.travelling.reset();
    for (const Rounded& rank : part.rounded) dequantize(rank.codes, rank.widened);
    attention(q.narrow(1, part.first, part.heads), part.all.select(1, 0), part.all.select(1, 1),
              attended.narrow(1, part.first, part.heads));
  }
}

}  // namespace flux
