#include "runtime/messages.h"

#include <gtest/gtest.h>

#include "parallel/rank/errors.h"

namespace flux {
namespace {

template <typename Kind>
Kind round_trip(const Kind& message) {
  return std::get<Kind>(unpack(pack(Message(message))));
}

Conditioning two_branches() {
  Conditioning conditioning;
  for (int i = 0; i < 2; ++i)
    conditioning.branches.push_back({at::randn({5, 8}, at::kBFloat16), at::randn({3, 40}, at::kFloat)});
  conditioning.sigmas = {1.0f, 0.7f, 0.1f, 0.0f};
  conditioning.true_cfg_scale = 2.5;
  return conditioning;
}

TEST(Messages, APromptArrivesAsItWas) {
  Prompt prompt;
  prompt.prompt = "a cat \xf0\x9f\x90\x88";
  prompt.negative_prompt = "";
  prompt.true_cfg_scale = 1.5;
  prompt.guidance_scale = 0;
  prompt.num_inference_steps = 7;
  prompt.max_sequence_length = 33;
  prompt.picture = {48, 80, 18446744073709551615u, at::kHalf, 4};
  const auto arrived = round_trip(Encode{9, prompt});
  EXPECT_EQ(arrived.job, 9);
  EXPECT_EQ(arrived.prompt.prompt, prompt.prompt);
  EXPECT_FALSE(arrived.prompt.prompt_2);
  EXPECT_EQ(arrived.prompt.negative_prompt, "") << "empty is not absent";
  EXPECT_FALSE(arrived.prompt.negative_prompt_2);
  EXPECT_EQ(arrived.prompt.true_cfg_scale, 1.5);
  EXPECT_EQ(arrived.prompt.guidance_scale, 0);
  EXPECT_EQ(arrived.prompt.num_inference_steps, 7);
  EXPECT_EQ(arrived.prompt.max_sequence_length, 33);
  EXPECT_EQ(arrived.prompt.picture.height, 48);
  EXPECT_EQ(arrived.prompt.picture.width, 80);
  EXPECT_EQ(arrived.prompt.picture.seed, 18446744073709551615u);
  EXPECT_EQ(arrived.prompt.picture.noise_dtype, at::kHalf);
  EXPECT_EQ(arrived.prompt.picture.token_side, 4);
}

TEST(Messages, AConditioningKeepsItsBranches) {
  const auto sent = two_branches();
  const auto arrived = round_trip(Encoded{4, 0.5, {"cut off"}, sent});
  ASSERT_EQ(arrived.conditioning.branches.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_TRUE(arrived.conditioning.branches[i].txt.equal(sent.branches[i].txt));
    EXPECT_TRUE(arrived.conditioning.branches[i].modulation.equal(sent.branches[i].modulation));
  }
  EXPECT_EQ(arrived.conditioning.sigmas, sent.sigmas);
  EXPECT_EQ(arrived.conditioning.true_cfg_scale, 2.5);
  EXPECT_EQ(arrived.warnings, std::vector<std::string>{"cut off"});
}

TEST(Messages, RanksThatDoNotLeadGetShapesAlone) {
  const Denoise sent{2, Picture{}, two_branches()};
  Parcel parcel = pack_shapes(sent);
  EXPECT_TRUE(parcel.tensors.empty());
  const auto arrived = std::get<Denoise>(unpack(parcel));
  ASSERT_EQ(arrived.conditioning.branches.size(), 2u);
  EXPECT_EQ(arrived.conditioning.branches[1].txt.sizes(), sent.conditioning.branches[1].txt.sizes());
  EXPECT_EQ(arrived.conditioning.branches[1].txt.scalar_type(), at::kBFloat16);
  EXPECT_EQ(arrived.conditioning.branches[0].modulation.sizes(), sent.conditioning.branches[0].modulation.sizes());
}

TEST(Messages, APlacementArrivesAsItWas) {
  std::vector<RankFacts> facts(4, RankFacts{"node", 1, 8, {{0, "GPU-a", "card", 90}, {1, "GPU-b", "card", 90}}});
  for (int rank = 0; rank < 4; ++rank) facts[rank].process = rank;
  const auto placement = place({}, 0, facts, {});
  const auto arrived = unpack_assign(pack(Assign{placement, ""}));
  EXPECT_EQ(table(arrived.placement), table(placement));
  EXPECT_EQ(arrived.placement.dtype, at::kBFloat16);
  EXPECT_EQ(arrived.placement.replicas[0].transport, placement.replicas[0].transport);
  EXPECT_EQ(unpack_hello(pack(Hello{facts[1], "no"})).facts.cards[1].uuid, "GPU-b");
  EXPECT_EQ(unpack_hello(pack(Hello{facts[1], "no"})).error, "no");
}

TEST(Messages, BytesThatAreNoMessageAreRefused) {
  EXPECT_THROW(unpack({"\xff\xff\xff\xff", {}}), Aborted);
  EXPECT_THROW(unpack({"", {}}), Aborted);
  Parcel parcel = pack(Message(Denoised{1, 0, at::zeros({2, 2})}));
  parcel.tensors.clear();
  EXPECT_THROW(unpack(parcel), Aborted);
}

}  // namespace
}  // namespace flux
