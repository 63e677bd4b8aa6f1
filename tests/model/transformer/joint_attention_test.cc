#include "model/transformer/joint_attention.h"

#include <gtest/gtest.h>

#include "tests/model/transformer/one_rank.h"
#include "tests/parallel/ranks.h"

namespace flux {
namespace {

constexpr int64_t heads = 32, head_dim = 8;
const at::TensorOptions codes = at::dtype(at::kChar);

/// Of a rank's queries, with keys and values that may be rounded. All: [tokens, 3, heads, head_dim], by queries, keys,
/// values.
at::Tensor attended(const at::Tensor& all, const Cut& cut, Communicator& sequence, bool rounds, size_t parts) {
  const int rank = sequence.rank();
  const auto keys_values = sequence.buffer({cut.tokens(), 2, heads, head_dim}, all.options());
  at::Tensor rounded;
  if (rounds) rounded = sequence.buffer({cut.tokens(), JointAttention::rounded_bytes(heads, head_dim)}, codes);
  JointAttention attention(keys_values, rounded, cut, sequence);
  const auto mine = all.narrow(0, cut.begin(rank), cut.rows(rank));
  EXPECT_EQ(attention.parts(), parts);
  const int64_t each = heads / static_cast<int64_t>(parts);
  for (size_t part = 0; part < parts; ++part) {
    attention.keys_values(part).copy_(mine.narrow(1, 1, 2).narrow(2, static_cast<int64_t>(part) * each, each));
    attention.send(part);
  }
  const auto out = at::empty({cut.rows(rank), heads * head_dim}, all.options());
  attention.attend(mine.select(1, 0), out);
  return out;
}

/// Ranks with as many rows as here attend to half of the heads while the others travel.
TEST(JointAttention, HalvesOfTheHeadsGiveTheSameBits) {
  const Cut alone(48, 2800, 1, 1), halves(48, 2800, 2, 1), shares(48, 2800, 2, 1, {5, 3});
  const at::Tensor all = at::randn({alone.tokens(), 3, heads, head_dim});
  const OneRank one;
  for (const bool rounds : {false, true}) {
    const at::Tensor expected = attended(all, alone, *one, rounds, 1);
    for (const Cut& cut : {halves, shares})
      run_ranks(2, [&](World& world) {
        const auto out = attended(all, cut, *world.group({0, 1}, Transport::thread, at::kCPU), rounds, 2);
        EXPECT_TRUE(at::equal(out, expected.narrow(0, cut.begin(world.rank()), cut.rows(world.rank()))));
      });
  }
}

}  // namespace
}  // namespace flux
