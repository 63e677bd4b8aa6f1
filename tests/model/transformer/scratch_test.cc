#include "model/transformer/scratch.h"

#include <gtest/gtest.h>

#include "tests/model/transformer/one_rank.h"

namespace flux {
namespace {

const TransformerConfig config{
    .in_channels = 8, .attention_head_dim = 16, .num_attention_heads = 3, .axes_dims_rope = {4, 4, 8}};
const Picture picture{.height = 48, .width = 80};

class ScratchDtype : public testing::TestWithParam<at::ScalarType> {};

TEST_P(ScratchDtype, BytesAreThoseOfItsBuffers) {
  const OneRank sequence;
  const Cut cut(7, picture.tokens(), 1, 1);
  const Scratch scratch(config, cut, picture, {at::kCPU, GetParam()}, *sequence);
  const auto& rows = scratch.joint;
  size_t bytes = scratch.velocity.nbytes() + scratch.latents.nbytes();
  for (const auto& buffer :
       {rows.residual, rows.normed, rows.kv, rows.q, rows.joined, rows.branch, rows.pe.cos, rows.pe.sin}) {
    bytes += buffer.nbytes();
  }
  EXPECT_EQ(scratch_bytes(config, cut, 0, GetParam()), static_cast<int64_t>(bytes));
}

TEST_P(ScratchDtype, StreamsAreViewsOfTheJointSequence) {
  const OneRank sequence;
  const Scratch scratch(config, Cut(7, picture.tokens(), 1, 1), picture, {at::kCPU, GetParam()}, *sequence);
  scratch.txt.residual.fill_(1);
  scratch.img.residual.fill_(2);
  EXPECT_EQ(scratch.joint.residual.sum().item<float>(), 48 * (7 + 2 * 15));
  EXPECT_EQ(scratch.joint.residual.scalar_type(), GetParam() == at::kBFloat16 ? at::kBFloat16 : at::kFloat);
}

INSTANTIATE_TEST_SUITE_P(Cpu, ScratchDtype, testing::Values(at::kFloat, at::kBFloat16, at::kHalf));

}  // namespace
}  // namespace flux
