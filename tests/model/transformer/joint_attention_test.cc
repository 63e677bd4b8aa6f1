#include "model/transformer/joint_attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "model/kernels/attention_codes.h"
#include "model/transformer/gathered_attention.h"
#include "model/transformer/ulysses_attention.h"
#include "tests/model/transformer/one_rank.h"
#include "tests/parallel/ranks.h"

namespace flux {
namespace {

constexpr int64_t head_dim = 8;

AttentionShape of_heads(int64_t heads) { return {heads, head_dim, at::dtype(at::kFloat)}; }

AttentionShape shape_of(const at::Tensor& all) { return of_heads(all.size(2)); }

/// Of a rank's queries. All: [tokens, 3, heads, head_dim], by queries, keys, values.
at::Tensor attended(const at::Tensor& all, const Cut& cut, Communicator& sequence, const AttentionMemory& memory,
                    size_t parts) {
  const int rank = sequence.rank();
  const auto attention = memory.attention(cut, sequence);
  const auto mine = all.narrow(0, cut.begin(rank), cut.rows(rank));
  EXPECT_EQ(attention->parts(), parts);
  const int64_t heads = all.size(2), each = heads / static_cast<int64_t>(parts);
  for (size_t part = 0; part < parts; ++part) {
    const auto written = attention->keys_values(part);
    written.copy_(mine.narrow(1, 1, 2).narrow(2, static_cast<int64_t>(part) * each, each));
    attention_codes(written.select(1, 0), attention->keys(part));
    attention->send(part);
  }
  const auto out = at::empty({cut.rows(rank), 5 * heads * head_dim}, all.options()).narrow(1, 0, heads * head_dim);
  const auto q = mine.select(1, 0).contiguous(), normed_q = attention->queries(q);
  attention_codes(q, normed_q);
  attention->send_queries(normed_q);
  attention->attend(out);
  return out;
}

using Attend = std::function<at::Tensor(const Cut& cut, Communicator& sequence)>;

/// Cuts of one sequence: what every rank has equals its rows of what one rank has alone.
void expect_rows_of(const at::Tensor& expected, const std::vector<Cut>& cuts, const Attend& attend) {
  for (const Cut& cut : cuts)
    run_ranks(cut.ranks(), [&](World& world) {
      std::vector<int> ranks(static_cast<size_t>(cut.ranks()));
      std::iota(ranks.begin(), ranks.end(), 0);
      const auto out = attend(cut, *world.group(ranks, Transport::thread, at::kCPU));
      EXPECT_TRUE(at::equal(out, expected.narrow(0, cut.begin(world.rank()), cut.rows(world.rank()))))
          << "rank " << world.rank() << " of " << cut.ranks();
    });
}

/// How keys and values travel, and are attended to.
const Exchange exchanges[] = {
    {}, {.keys_values = Format::int8}, {.keys_values = Format::fp8}, {.attention = Format::fp8}};

at::Tensor of_one_rank(const at::Tensor& all, const Cut& cut, const Exchange& exchange) {
  const OneRank one;
  return attended(all, cut, *one, GatheredMemory(shape_of(all), cut.tokens(), cut.tokens(), exchange, *one), 1);
}

/// Ranks with as many rows and heads as here attend to half of the heads while the others travel.
TEST(JointAttention, HalvesOfTheHeadsGiveTheSameBits) {
  const Cut alone(48, 700, 1, 1), halves(48, 700, 2, 1), shares(48, 700, 2, 1, {5, 3});
  const at::Tensor all = at::randn({alone.tokens(), 3, 128, head_dim});
  for (const Exchange& exchange : exchanges)
    expect_rows_of(of_one_rank(all, alone, exchange), {halves, shares}, [&](const Cut& cut, Communicator& sequence) {
      const int64_t rows = std::ranges::max(cut.rows_by_rank());
      return attended(all, cut, sequence, GatheredMemory(shape_of(all), cut.tokens(), rows, exchange, sequence), 2);
    });
}

/// Ranks of many rows, and of few.
TEST(JointAttention, RanksThatShareTheHeadsGiveTheSameBits) {
  for (const int64_t image : {2800, 90}) {
    const Cut alone(48, image, 1, 1);
    const at::Tensor all = at::randn({alone.tokens(), 3, 32, head_dim});
    for (const Exchange& exchange : exchanges) {
      if (image > 90 && exchange.attention != Format::dense) continue;  // whose twin takes long
      expect_rows_of(
          of_one_rank(all, alone, exchange),
          {{48, image, 2, 1}, {48, image, 2, 1, {5, 3}}, {48, image, 4, 2, {1, 900, 900, 1}}, {48, image, 8, 1}},
          [&](const Cut& cut, Communicator& sequence) {
            // Larger than the picture, as for the pictures of a run.
            const int64_t rows = std::ranges::max(cut.rows_by_rank()) + 3;
            const UlyssesMemory memory(shape_of(all), cut.tokens() + 5, rows, exchange, sequence);
            return attended(all, cut, sequence, memory, 1);
          });
    }
  }
}

/// Ulysses: keys and values, to be sent and as they are sent, and queries; then those of the own heads, and what is
/// attended to.
TEST(JointAttention, MemoryIsWhatIsCounted) {
  const OneRank one;
  const int64_t tokens = 96, rows = 48, value = 4, heads = 32;
  const AttentionShape shape = of_heads(heads);
  const int64_t all = tokens * 2 * heads * head_dim;
  EXPECT_EQ(GatheredMemory(shape, tokens, rows, {}, *one).bytes(), all * value);
  EXPECT_EQ(GatheredMemory(shape, tokens, rows, {.attention = Format::fp8}, *one).bytes(),
            all + rows * 2 * heads * head_dim * (value + 1));
  run_ranks(2, [&](World& world) {
    const auto sequence = world.group({0, 1}, Transport::thread, at::kCPU);
    EXPECT_EQ(UlyssesMemory(shape, tokens, rows, {}, *sequence).bytes(),
              (5 * rows * heads + 4 * tokens * heads / 2) * head_dim * value);
    EXPECT_EQ(UlyssesMemory(shape, tokens, rows, {.attention = Format::fp8}, *sequence).bytes(),
              (5 * rows * heads + 4 * tokens * heads / 2 + (value - 1) * 2 * rows * heads) * head_dim);
  });
}

}  // namespace
}  // namespace flux
