#include "runtime/options/prompt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "parallel/rank/errors.h"
#include "runtime/options.pb.h"
#include "runtime/options/option.h"
#include "runtime/options/settings.h"

namespace flux {
namespace {

using ::testing::HasSubstr;

Prompt whole_prompt() {
  return {.prompt = "a \"cat\" \xf0\x9f\x90\x88\n",
          .prompt_2 = "for T5",
          .negative_prompt = "",
          .negative_prompt_2 = "dog",
          .true_cfg_scale = 2.5,
          .guidance_scale = 0.1,
          .num_inference_steps = 3,
          .sigmas = {1, 0.7, 0.1},
          .max_sequence_length = 17,
          .picture = {64, 96, 18446744073709551615U, at::kHalf, 8},
          .id = "cat_1.b-c"};
}

TEST(PromptDescription, EveryFieldOfARequestComesBack) {
  const Prompt prompt = whole_prompt();
  const Prompt again = prompt_of(options_of(prompt), 8);
  EXPECT_EQ(again.prompt, prompt.prompt);
  EXPECT_EQ(again.prompt_2, prompt.prompt_2);
  EXPECT_EQ(again.negative_prompt, "") << "empty is not absent";
  EXPECT_EQ(again.negative_prompt_2, prompt.negative_prompt_2);
  EXPECT_EQ(again.true_cfg_scale, 2.5);
  EXPECT_EQ(again.guidance_scale, 0.1);
  EXPECT_EQ(again.num_inference_steps, 3);
  EXPECT_EQ(again.sigmas, prompt.sigmas);
  EXPECT_EQ(again.max_sequence_length, 17);
  EXPECT_EQ(again.id, "cat_1.b-c");
  EXPECT_EQ(again.picture.height, 64);
  EXPECT_EQ(again.picture.width, 96);
  EXPECT_EQ(again.picture.seed, 18446744073709551615U);
  EXPECT_EQ(again.picture.noise_dtype, at::kHalf);
  EXPECT_EQ(again.picture.token_side, 8);
  EXPECT_EQ(parameters_json(again), parameters_json(prompt));
}

TEST(PromptDescription, EveryOptionOfARequestDescribesAPrompt) {
  const proto::Options options = options_of(whole_prompt());
  for (const Option& option : all_options()) {
    if (!option.per_request || option.name == "num_images_per_prompt") continue;  // which is no property of a picture
    EXPECT_THAT(parameters_json(whole_prompt()), HasSubstr("\"" + option.name + "\":"));
  }
  EXPECT_FALSE(options.has_num_images_per_prompt());
}

TEST(PromptDescription, IsJsonUnderDiffusersNamesInOneOrder) {
  EXPECT_EQ(parameters_json(whole_prompt()),
            "{\"prompt\":\"a \\\"cat\\\" \xf0\x9f\x90\x88\\n\",\"prompt_2\":\"for T5\",\"negative_prompt\":\"\","
            "\"negative_prompt_2\":\"dog\",\"true_cfg_scale\":2.5,\"height\":64,\"width\":96,"
            "\"num_inference_steps\":3,\"sigmas\":[1.0,0.7,0.1],\"guidance_scale\":0.1,\"max_sequence_length\":17,"
            "\"seed\":18446744073709551615,\"id\":\"cat_1.b-c\",\"noise_dtype\":\"fp16\"}");
  Prompt plain;
  plain.prompt = "a";
  plain.picture = {64, 96, 1, at::kBFloat16, 16};
  EXPECT_EQ(parameters_json(plain),
            "{\"prompt\":\"a\",\"true_cfg_scale\":1.0,\"height\":64,\"width\":96,\"num_inference_steps\":28,"
            "\"guidance_scale\":3.5,\"max_sequence_length\":512,\"seed\":1,\"noise_dtype\":\"bf16\"}");
}

TEST(PromptDescription, ItsIdentityIsThatOfItsText) {
  Prompt prompt = whole_prompt();
  const std::string id = identity_of(prompt);
  EXPECT_THAT(id, ::testing::MatchesRegex("[0-9a-f]{16}"));
  EXPECT_EQ(identity_of(whole_prompt()), id);
  prompt.picture.seed = 0;
  EXPECT_NE(identity_of(prompt), id);
  prompt = whole_prompt();
  prompt.negative_prompt.reset();
  EXPECT_NE(identity_of(prompt), id);
}

TEST(PromptDescription, NoiseOfNoDtypeIsRefused) {
  proto::Options options = options_of(whole_prompt());
  options.clear_noise_dtype();
  EXPECT_THROW(prompt_of(options, 16), Invalid);
}

}  // namespace
}  // namespace flux
