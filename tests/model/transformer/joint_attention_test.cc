#include "model/transformer/joint_attention.h"

#include <gtest/gtest.h>

#include "tests/model/transformer/one_rank.h"
#include "tests/parallel/ranks.h"

namespace flux {
namespace {

constexpr int64_t heads = 32, head_dim = 8;
const at::TensorOptions bytes = at::dtype(at::kByte);

/// Of a rank's queries, with keys and values that are rounded. All: [tokens, 3, heads, head_dim], by queries, keys,
/// values.
at::Tensor attended(const at::Tensor& all, const Cut& cut, Communicator& sequence) {
  const int rank = sequence.rank();
  const auto keys_values = sequence.buffer({cut.tokens(), 2, heads, head_dim}, all.options());
  const auto rounded = sequence.buffer({cut.tokens(), JointAttention::rounded_bytes(heads, head_dim)}, bytes);
  JointAttention attention(keys_values, rounded, cut, sequence);
  const auto mine = all.narrow(0, cut.begin(rank), cut.rows(rank));
  attention.keys_values().copy_(mine.narrow(1, 1, 2));
  attention.send();
  const auto out = at::empty({cut.rows(rank), heads * head_dim}, all.options());
  attention.attend(mine.select(1, 0), out);
  return out;
}

/// Ranks with as many rows as here attend to half of the heads while the others travel.
TEST(JointAttention, HalvesOfTheHeadsGiveTheSameBits) {
  const Cut alone(48, 2000, 1, 1), halves(48, 2000, 2, 1), shares(48, 2000, 2, 1, {5, 3});
  const at::Tensor all = at::randn({alone.tokens(), 3, heads, head_dim});
  const OneRank one;
  const at::Tensor expected = attended(all, alone, *one);
  for (const Cut& cut : {halves, shares})
    run_ranks(2, [&](World& world) {
      const auto out = attended(all, cut, *world.group({0, 1}, Transport::thread, at::kCPU));
      EXPECT_TRUE(at::equal(out, expected.narrow(0, cut.begin(world.rank()), cut.rows(world.rank()))));
    });
}

}  // namespace
}  // namespace flux
