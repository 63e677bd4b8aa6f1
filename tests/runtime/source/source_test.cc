#include "runtime/source/source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "parallel/rank/errors.h"
#include "runtime/options/prompt.h"
#include "runtime/source/model_defaults.h"
#include "tests/reference.h"

namespace flux {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

const ModelFolder& demo() {
  static const ModelFolder folder(source_folder() / "configs/demo");
  return folder;
}

struct Run {
  std::unique_ptr<Source> source;
  std::vector<Request> requests;
  std::vector<std::string> warnings;
  std::vector<int64_t> order{};  // in which the requests came
};

using Given = std::vector<std::pair<std::string, std::string>>;

Run run(const Given& given, const std::string& standard_input = "", const ModelFolder& model = demo()) {
  Settings settings;
  for (const auto& [name, text] : given) settings.set(name, text, "--" + name);
  add_model_defaults(settings, model);
  add_noise_defaults(settings, model);
  std::istringstream stream(standard_input);
  Run result;
  result.source =
      open_source(settings, model, stream, [&](const std::string& text) { result.warnings.push_back(text); });
  while (auto request = result.source->next()) {
    result.order.push_back(request->index);
    result.requests.push_back(std::move(*request));
  }
  std::ranges::sort(result.requests, {}, &Request::index);
  return result;
}

std::string refusal(const Given& given, const std::string& standard_input = "") {
  try {
    run(given, standard_input);
  } catch (const Invalid& error) {
    return error.what();
  }
  return "taken";
}

ModelFolder schnell() {
  ModelFolder folder = demo();
  folder.transformer.guidance_embeds = false;
  return folder;
}

TEST(Source, APictureWhoseNoiseLevelsAreNoNumbersIsRefused) {
  ModelFolder model = demo();
  model.scheduler.use_dynamic_shifting = true;
  model.scheduler.max_shift = 80;  // of the picture's tokens; a larger one's grows without bound
  const auto [source, requests, warnings, order] =
      run({{"prompts", "-"}}, "{\"prompt\": \"a\"}\n{\"prompt\": \"b\", \"height\": 16384, \"width\": 16384}\n", model);
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_THAT(requests[0].error, IsEmpty());
  EXPECT_THAT(requests[1].error, HasSubstr("by the shift of scheduler_config.json"));
}

TEST(Source, AnIdThatIsSaidTwiceIsWarnedOfOnce) {
  const auto [source, requests, warnings, order] =
      run({{"prompts", "-"}},
          "{\"prompt\": \"a\", \"id\": \"x\"}\n{\"prompt\": \"b\"}\n{\"prompt\": \"c\", \"id\": \"x\"}\n{\"prompt\": "
          "\"d\", \"id\": \"x\"}\n");
  EXPECT_EQ(requests.size(), 4U);
  EXPECT_THAT(warnings, ElementsAre(AllOf(HasSubstr(":3"), HasSubstr("the id x is that of a request before"))));
  const auto [other, others, none, same] =
      run({{"prompts", "-"}}, R"({"prompt": "a", "id": "x"} {"prompt": "a", "id": "y"})");
  EXPECT_THAT(none, IsEmpty());
}

TEST(Source, ARequestIsAPromptWithItsPictures) {
  const auto [source, requests, warnings, order] =
      run({{"prompts", "-"}, {"seed", "5"}, {"height", "64"}, {"width", "64"}},
          "{\"prompt\": \"a\", \"num_images_per_prompt\": 3}\n{\"prompt\": 1}\n{\"prompt\": \"b\", \"width\": 128}\n");
  ASSERT_EQ(requests.size(), 3U);
  EXPECT_EQ(source->pictures(), 5);
  const Workload workload = source->workload();
  EXPECT_EQ(workload.largest.image_tokens, 64 * 128 / demo().vae.token_side() / demo().vae.token_side());
  EXPECT_EQ(workload.pictures, 4) << "one cannot be drawn";
  EXPECT_LT(workload.steps, requests[2].prompt.num_inference_steps) << "three are half as large";
  EXPECT_GT(workload.steps, requests[2].prompt.num_inference_steps / 2);
  EXPECT_EQ(requests[0].pictures, 3);
  EXPECT_EQ(requests[0].prompt.picture.seed, 5U);
  EXPECT_EQ(requests[1].pictures, 1);
  EXPECT_EQ(requests[1].first_picture, 3);
  EXPECT_EQ(requests[1].id, "");
  EXPECT_THAT(requests[1].error, HasSubstr("a text is wanted"));
  EXPECT_EQ(requests[2].index, 2);
  EXPECT_EQ(requests[2].first_picture, 4);
  EXPECT_EQ(requests[2].prompt.picture.seed, 9U);
  EXPECT_EQ(requests[2].origin, "stdin:3");
  EXPECT_EQ(requests[2].id, identity_of(requests[2].prompt));
  EXPECT_EQ(source->next(), std::nullopt);
}

TEST(Source, WhatTakesLongestComesFirst) {
  const auto result = run({{"prompts", "-"}, {"height", "64"}, {"width", "64"}, {"num_inference_steps", "4"}},
                          "{\"prompt\": \"a\"}\n"
                          "{\"prompt\": \"b\", \"num_inference_steps\": 9}\n"
                          "{\"prompt\": 1}\n"
                          "{\"prompt\": \"d\"}\n"
                          "{\"prompt\": \"e\", \"num_images_per_prompt\": 3}\n"
                          "{\"prompt\": \"f\", \"width\": 128}\n"
                          "{\"prompt\": \"g\", \"negative_prompt\": \"h\", \"true_cfg_scale\": 2, \"height\": 128}\n");
  EXPECT_THAT(result.order, ElementsAre(2, 6, 1, 5, 0, 3, 4))
      << "what is wrong is said at once; equal ones keep their order";
}

TEST(Source, NoSeedIsPastTheLast) {
  const std::string last = "18446744073709551615";
  EXPECT_EQ(run({{"prompt", "a"}, {"seed", last}}).requests[0].prompt.picture.seed, 18446744073709551615U);
  EXPECT_EQ(refusal({{"prompt", "a"}, {"seed", last}, {"num_images_per_prompt", "3"}}),
            "--seed: 18446744073709551615 + 2 is past the last seed, 18446744073709551615; take a smaller one");
  EXPECT_THAT(refusal({{"prompts", "-"}, {"seed", last}}, "one\ntwo\n"), HasSubstr("--seed: " + last + " + 1 is past"));
  const auto own = run({{"prompts", "-"}}, "{\"prompt\": \"a\", \"num_images_per_prompt\": 2, \"seed\": " + last +
                                               "}\n{\"prompt\": \"b\"}\n");
  EXPECT_THAT(own.requests[0].error, HasSubstr("seed: " + last + " + 1 is past the last seed"));
  EXPECT_EQ(own.requests[0].pictures, 1);
  EXPECT_EQ(own.requests[1].error, "");
}

TEST(Source, SigmasReplaceTheSteps) {
  const auto [source, requests, warnings, order] =
      run({{"prompts", "-"}, {"sigmas", "1,0.5"}},
          "{\"prompt\": \"a\"}\n{\"prompt\": \"b\", \"sigmas\": [0.9, 0.6, 0.3]}\n"
          "{\"prompt\": \"c\", \"num_inference_steps\": 4}\n");
  EXPECT_THAT(requests[0].prompt.sigmas, ElementsAre(1, 0.5));
  EXPECT_EQ(requests[0].prompt.num_inference_steps, 2);
  EXPECT_THAT(requests[1].prompt.sigmas, ElementsAre(0.9, 0.6, 0.3));
  EXPECT_EQ(requests[1].prompt.num_inference_steps, 3);
  EXPECT_THAT(requests[2].prompt.sigmas, IsEmpty()) << "what a line says goes before what the run says";
  EXPECT_EQ(requests[2].prompt.num_inference_steps, 4);
  EXPECT_THAT(warnings, IsEmpty());
}

TEST(Source, StepsBesideSigmasAreSaid) {
  EXPECT_THAT(run({{"prompt", "a"}, {"sigmas", "1,0.5"}, {"num_inference_steps", "8"}}).warnings,
              ElementsAre("num_inference_steps does nothing beside sigmas, which are 2"));
  EXPECT_THAT(run({{"prompt", "a"}, {"sigmas", "1,0.5"}, {"num_inference_steps", "2"}}).warnings, IsEmpty());
}

TEST(Source, AGuidanceScaleOfAModelWithoutGuidanceIsSaid) {
  const auto lines = "{\"prompt\": \"a\"}\n{\"prompt\": \"b\", \"guidance_scale\": 2}\n{\"prompt\": \"c\"}\n";
  EXPECT_THAT(run({{"prompts", "-"}}, lines, schnell()).warnings,
              ElementsAre("stdin:2: guidance_scale does nothing: this model has no guidance"));
  EXPECT_THAT(run({{"prompts", "-"}, {"guidance_scale", "2"}}, "one\ntwo\n", schnell()).warnings,
              ElementsAre("guidance_scale does nothing: this model has no guidance"));
  EXPECT_THAT(run({{"prompts", "-"}, {"guidance_scale", "2"}}, lines).warnings, IsEmpty());
}

}  // namespace
}  // namespace flux
