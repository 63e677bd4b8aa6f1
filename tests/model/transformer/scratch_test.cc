#include "model/transformer/scratch.h"

#include <gtest/gtest.h>

#include "tests/model/transformer/one_rank.h"

namespace flux {
namespace {

const TransformerConfig config{
    .in_channels = 8, .attention_head_dim = 16, .num_attention_heads = 3, .axes_dims_rope = {4, 4, 8}};
const Picture picture{.height = 48, .width = 80};
const Demand demand{.image_tokens = 40, .text_tokens = 9};

class ScratchOf : public testing::TestWithParam<std::tuple<at::ScalarType, Format>> {
 protected:
  Scratch scratch() const { return {config, Cut(7, picture.tokens(), 1, 1), picture, arena_, *sequence_}; }

  const OneRank sequence_;
  const Placing placing_{at::kCPU, std::get<0>(GetParam()), std::get<1>(GetParam())};
  const Arena arena_{config, demand, placing_, *sequence_};
};

TEST_P(ScratchOf, LiesWithinItsArena) {
  const Scratch small = scratch();
  EXPECT_EQ(small.joint.residual.data_ptr(), arena_.residual.data_ptr());
  EXPECT_EQ(small.joint.rows(), 7 + picture.tokens());
  EXPECT_EQ(small.latents.data_ptr(), arena_.latents.data_ptr());
}

TEST_P(ScratchOf, StreamsAreViewsOfTheJointSequence) {
  const Scratch rows = scratch();
  rows.txt.residual.fill_(1);
  rows.img.residual.fill_(2);
  EXPECT_EQ(rows.joint.residual.sum().item<float>(), 48 * (7 + 2 * 15));
  EXPECT_EQ(rows.joint.residual.scalar_type(), placing_.compute == at::kBFloat16 ? at::kBFloat16 : at::kFloat);
}

TEST_P(ScratchOf, OperandsAreReadyAsTheirProductsTakeThem) {
  const Scratch rows = scratch();
  rows.joint.joined.values.normal_();
  const Activation& joined = rows.joint.joined.ready();
  EXPECT_EQ(joined.quantized(), placing_.store == Format::int8);
  EXPECT_EQ(joined.values.sizes(), (std::vector<int64_t>{22, 5 * 48}));
  EXPECT_TRUE(joined.values.is_contiguous());
  const Activation text = rows.txt.hidden.ready();
  const auto codes = text.values.clone();
  rows.img.hidden.ready();
  EXPECT_TRUE(at::equal(text.values, codes)) << "another stream's rows were written over";
}

TEST_P(ScratchOf, ANormForADenseLayerHasRoomOfItsOwn) {
  const Scratch rows = scratch();
  EXPECT_EQ(rows.img.last_normed().values.sizes(), rows.img.residual.sizes());
  EXPECT_EQ(rows.img.last_normed().values.scalar_type(), placing_.compute);
}

INSTANTIATE_TEST_SUITE_P(Cpu, ScratchOf,
                         testing::Combine(testing::Values(at::kFloat, at::kBFloat16, at::kHalf),
                                          testing::Values(Format::dense, Format::int8, Format::int8_weights,
                                                          Format::nf4)));

}  // namespace
}  // namespace flux
