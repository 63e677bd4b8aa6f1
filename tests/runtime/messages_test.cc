#include "runtime/messages.h"

#include <gtest/gtest.h>

#include "parallel/rank/errors.h"

namespace flux {
namespace {

template <typename Kind>
Kind report_round_trip(const Kind& report) {
  return std::get<Kind>(std::get<Report>(unpack(pack(Report(report)))));
}

template <typename Kind>
Kind order_round_trip(const Kind& order) {
  return std::get<Kind>(std::get<Order>(unpack(pack(Order(order)))));
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
  const auto arrived = order_round_trip(Encode{9, prompt});
  EXPECT_EQ(arrived.request, 9);
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
  const auto arrived = report_round_trip(Encoded{4, 0.5, {"cut off"}, sent});
  ASSERT_EQ(arrived.conditioning.branches.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_TRUE(arrived.conditioning.branches[i].txt.equal(sent.branches[i].txt));
    EXPECT_TRUE(arrived.conditioning.branches[i].modulation.equal(sent.branches[i].modulation));
  }
  EXPECT_EQ(arrived.conditioning.sigmas, sent.sigmas);
  EXPECT_EQ(arrived.conditioning.true_cfg_scale, 2.5);
  EXPECT_EQ(arrived.warnings, std::vector<std::string>{"cut off"});
}

TEST(Messages, AnImageArrivesWithItsWarning) {
  const Image image{at::randint(0, 256, {4, 6, 3}, at::kByte), "overflowed"};
  const Decoded arrived = report_round_trip(Decoded{3, 0.25, image});
  EXPECT_EQ(arrived.picture, 3);
  EXPECT_EQ(arrived.seconds, 0.25);
  EXPECT_TRUE(arrived.image.rgb.equal(image.rgb));
  EXPECT_EQ(arrived.image.warning, "overflowed");
}

TEST(Messages, RanksThatDoNotLeadGetShapesAlone) {
  const Denoise sent{2, Picture{}, two_branches()};
  Parcel parcel = pack_shapes(sent);
  EXPECT_TRUE(parcel.tensors.empty());
  const auto arrived = std::get<Denoise>(std::get<Order>(unpack(parcel)));
  ASSERT_EQ(arrived.conditioning.branches.size(), 2u);
  EXPECT_EQ(arrived.conditioning.branches[1].txt.sizes(), sent.conditioning.branches[1].txt.sizes());
  EXPECT_EQ(arrived.conditioning.branches[1].txt.scalar_type(), at::kBFloat16);
  EXPECT_EQ(arrived.conditioning.branches[0].modulation.sizes(), sent.conditioning.branches[0].modulation.sizes());
}

TEST(Messages, WhatARankStandsOnArrivesAsItWas) {
  const RankFacts facts{
      "n\xff\x01"
      "de",
      77,
      8,
      {{0, "GPU-a", "card", 90, 80LL << 30}, {1, "GPU-b", "card", 75, 16LL << 30, {40, 0}}},
      {"10.0.0.1", "fd00::1"}};
  const Hello arrived = unpack_hello(pack(Hello{facts, {{64, 32}, 10, 4.5}}));
  EXPECT_EQ(arrived.facts.host, facts.host) << "not every name is UTF-8";
  EXPECT_EQ(arrived.facts.host_addresses, facts.host_addresses);
  EXPECT_EQ(arrived.facts.process, 77);
  EXPECT_EQ(arrived.facts.cores, 8);
  ASSERT_EQ(arrived.facts.cards.size(), 2u);
  EXPECT_EQ(arrived.facts.cards[1].uuid, "GPU-b");
  EXPECT_EQ(arrived.facts.cards[1].capability, 75);
  EXPECT_EQ(arrived.facts.cards[1].total_bytes, 16LL << 30);
  EXPECT_EQ(arrived.facts.cards[1].distances, (std::vector<int>{40, 0}));
  EXPECT_EQ(arrived.workload.largest.image_tokens, 64);
  EXPECT_EQ(arrived.workload.largest.text_tokens, 32);
  EXPECT_EQ(arrived.workload.pictures, 10);
  EXPECT_EQ(arrived.workload.steps, 4.5);
}

TEST(Messages, ErrorsAndWarningsNeedNotBeUtf8) {
  const std::string path =
      "/data/m\xf6"
      "del: \xff\xfe is missing";
  EXPECT_EQ(report_round_trip(RankFailed{true, path}).why, path);
  EXPECT_TRUE(report_round_trip(RankFailed{true, path}).invalid);
  EXPECT_EQ(report_round_trip(RequestFailed{4, path}).why, path);
  EXPECT_EQ(report_round_trip(PictureFailed{5, path}).why, path);
  EXPECT_EQ(report_round_trip(PictureFailed{5, path}).picture, 5);
  EXPECT_EQ(report_round_trip(Encoded{4, 0.5, {path}, two_branches()}).warnings, std::vector{path});
}

TEST(Messages, TheSmallOnesArriveAsTheyWere) {
  EXPECT_EQ(order_round_trip(Stop{75}).exit_code, 75);
  EXPECT_TRUE(std::holds_alternative<Present>(std::get<Order>(unpack(pack(Order(Present{}))))));
  const Step step = report_round_trip(Step{3, 5, 28, 1 << 30});
  EXPECT_EQ(std::tie(step.picture, step.step, step.steps, step.peak_memory), std::tuple(3, 5, 28, 1 << 30));
}

TEST(Messages, BytesThatAreNoMessageAreRefused) {
  EXPECT_THROW(unpack({"\xff\xff\xff\xff", {}}), Aborted);
  EXPECT_THROW(unpack({"", {}}), Aborted);
  Parcel parcel = pack(Report(Denoised{1, 0, at::zeros({2, 2})}));
  parcel.tensors.clear();
  EXPECT_THROW(unpack(parcel), Aborted);
}

}  // namespace
}  // namespace flux
