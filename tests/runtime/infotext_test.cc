#include "runtime/infotext.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/version.h"

namespace flux {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

Prompt prompt() {
  Prompt made;
  made.prompt = "a cat";
  made.picture = {32, 48, 7, at::kFloat};
  return made;
}

TEST(Infotext, NamesTheModelAsPeopleDo) {
  const std::string snapshot = "/cache/hub/models--black-forest-labs--FLUX.1-dev/snapshots/0123abc";
  EXPECT_EQ(model_name("/models/demo"), "demo");
  EXPECT_EQ(model_name("/models/demo/"), "demo");
  EXPECT_EQ(model_name("demo//"), "demo");
  EXPECT_EQ(model_name("/usr/lib/.."), "usr");
  EXPECT_EQ(model_name("."), std::filesystem::current_path().filename());
  EXPECT_EQ(model_name(snapshot), "black-forest-labs/FLUX.1-dev");
  EXPECT_EQ(model_name(snapshot + "/"), "black-forest-labs/FLUX.1-dev");
  EXPECT_EQ(model_name("/models/snapshots/mine"), "mine");
  EXPECT_EQ(model_name("/"), "/");
}

TEST(Infotext, ValuesThatHoldItsMarksAreQuoted) {
  EXPECT_THAT(infotext(prompt(), "demo"),
              HasSubstr(", Model: demo, Version: flux-dist " + std::string(program_version)));
  EXPECT_THAT(infotext(prompt(), "mine, v2: best"), HasSubstr(", Model: \"mine, v2: best\", Version: "));
  EXPECT_THAT(infotext(prompt(), "a\nb"), HasSubstr(", Model: \"a\\nb\", Version: "));
}

TEST(Infotext, HoldsBothPrompts) {
  Prompt made = prompt();
  EXPECT_THAT(infotext(made, "m"), Not(HasSubstr("Prompt 2")));
  made.prompt_2 = "Steps: 3, \"red\"";
  made.negative_prompt = "dog";
  made.negative_prompt_2 = "blurry";
  EXPECT_THAT(infotext(made, "m"), ::testing::StartsWith("a cat\nNegative prompt: dog\nSteps: 28, "));
  EXPECT_THAT(infotext(made, "m"),
              HasSubstr("Prompt 2: \"Steps: 3, \\\"red\\\"\", Negative prompt 2: blurry, Seed: 7, Size: 48x32, "));
  made.prompt_2 = "";
  EXPECT_THAT(infotext(made, "m"), Not(HasSubstr(" Prompt 2: "))) << "empty counts as none";
}

TEST(Infotext, SaysWhichSigmas) {
  Prompt made = prompt();
  EXPECT_THAT(infotext(made, "m"), HasSubstr("Schedule type: Simple, "));
  made.sigmas = {1, 0.7, 0.25};
  EXPECT_THAT(infotext(made, "m"), HasSubstr("Schedule type: Custom, "));
  EXPECT_THAT(infotext(made, "m"), HasSubstr(", Sigmas: \"1, 0.7, 0.25\", "));
}

}  // namespace
}  // namespace flux
