#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <sstream>

#include "parallel/rank/errors.h"
#include "runtime/source/model_defaults.h"
#include "runtime/source/source.h"
#include "tests/reference.h"
#include "tests/runtime/options/scratch_folder.h"

namespace flux {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// As generate has them before it reads the prompts of a dev-like model.
Settings dev_settings(std::initializer_list<std::pair<const char*, const char*>> given) {
  Settings settings;
  for (const auto& [name, text] : given) settings.set(name, text, std::string("--") + name);
  settings.set("height", "1024", "model");
  settings.set("width", "1024", "model");
  settings.set("num_inference_steps", "28", "model");
  settings.set("guidance_scale", "3.5", "model");
  settings.set("max_sequence_length", "256", "model");
  settings.set("noise_dtype", "bf16", "model");
  settings.set("seed", "100", "random");
  return settings;
}

struct Drawn {
  std::vector<Request> requests;
  std::vector<std::string> warnings;
};

Drawn drawn(const Settings& settings, const std::string& standard_input = "", int64_t token_side = 16) {
  std::istringstream stream(standard_input);
  static const ModelFolder demo(source_folder() / "configs/demo");
  ModelFolder model = demo;
  model.vae.block_out_channels.resize(static_cast<size_t>(std::countr_zero(static_cast<uint64_t>(token_side))), 32);
  Drawn result;
  const auto source =
      open_source(settings, model, stream, [&](const std::string& text) { result.warnings.push_back(text); });
  while (auto request = source->next()) result.requests.push_back(std::move(*request));
  std::ranges::sort(result.requests, {}, &Request::index);
  return result;
}

std::vector<Request> from_stdin(const std::string& text) {
  return drawn(dev_settings({{"prompts", "-"}}), text).requests;
}

/// As it is printed.
std::string said(const Request& request) { return request.error.empty() ? "" : request.origin + ": " + request.error; }

std::string only_error(const std::string& line) {
  const auto requests = from_stdin("{\"prompt\": \"good\"}\n" + line);
  EXPECT_EQ(requests.size(), 2U);
  EXPECT_EQ(requests[0].error, "");
  return said(requests.at(1));
}

TEST(Requests, OnePromptHasTheRunsValues) {
  const auto [requests, warnings] =
      drawn(dev_settings({{"prompt", "a cat"}, {"negative_prompt", "dog"}, {"true_cfg_scale", "2"}, {"width", "512"}}));
  ASSERT_EQ(requests.size(), 1U);
  const Prompt& prompt = requests[0].prompt;
  EXPECT_EQ(requests[0].origin, "--prompt");
  EXPECT_EQ(prompt.prompt, "a cat");
  EXPECT_EQ(prompt.prompt_2, std::nullopt);
  EXPECT_EQ(prompt.negative_prompt, "dog");
  EXPECT_EQ(prompt.num_inference_steps, 28);
  EXPECT_EQ(prompt.guidance_scale, 3.5);
  EXPECT_EQ(prompt.true_cfg_scale, 2.0);
  EXPECT_EQ(prompt.max_sequence_length, 256);
  EXPECT_EQ(prompt.picture.height, 1024);
  EXPECT_EQ(prompt.picture.width, 512);
  EXPECT_EQ(prompt.picture.seed, 100U);
  EXPECT_EQ(prompt.picture.noise_dtype, at::kBFloat16);
  EXPECT_THAT(warnings, IsEmpty());
}

TEST(Requests, NothingToDrawIsAnError) {
  EXPECT_THROW(drawn(dev_settings({})), Invalid);
  EXPECT_THROW(drawn(dev_settings({{"prompts", "-"}}), ""), Invalid);
  EXPECT_THROW(drawn(dev_settings({{"prompts", "/nowhere/prompts.txt"}})), Invalid);
  EXPECT_THROW(drawn(dev_settings({{"prompts", "/tmp"}})), Invalid);
}

TEST(Requests, PictureIOfTheRunHasSeedPlusI) {
  const auto requests = drawn(dev_settings({{"prompts", "-"}, {"num_images_per_prompt", "2"}}), "one\ntwo\n").requests;
  ASSERT_EQ(requests.size(), 2U);
  for (int64_t i = 0; i < 2; ++i) {
    EXPECT_EQ(requests[i].index, i);
    EXPECT_EQ(requests[i].pictures, 2);
    EXPECT_EQ(requests[i].first_picture, 2 * i);
    EXPECT_EQ(requests[i].prompt.picture.seed, 100U + 2 * i);
    EXPECT_EQ(requests[i].origin, i == 0 ? "stdin:1" : "stdin:2");
  }
}

TEST(Requests, ARequestWithItsOwnSeedCountsFromThere) {
  const auto requests =
      from_stdin("{\"prompt\": \"a\"}\n{\"prompt\": \"b\", \"seed\": 7, \"num_images_per_prompt\": 2}\n");
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_EQ(requests[0].prompt.picture.seed, 100U);
  EXPECT_EQ(requests[1].prompt.picture.seed, 7U);
  EXPECT_EQ(requests[1].pictures, 2);
}

TEST(Requests, JsonFieldsAreDiffusersNames) {
  const auto requests = from_stdin(
      R"({"prompt": "p", "prompt_2": "p2", "negative_prompt": "n", "negative_prompt_2": "n2", "true_cfg_scale": 2,)"
      R"( "height": 64, "width": 32, "num_inference_steps": 3, "guidance_scale": 1.25, "max_sequence_length": 16,)"
      R"( "seed": 18446744073709551615, "num_images_per_prompt": 1, "noise_dtype": "fp16", "id": "a.b_C-7"})");
  ASSERT_EQ(requests.size(), 1U);
  ASSERT_EQ(requests[0].error, "");
  const Prompt& prompt = requests[0].prompt;
  EXPECT_EQ(prompt.prompt_2, "p2");
  EXPECT_EQ(prompt.negative_prompt_2, "n2");
  EXPECT_EQ(prompt.true_cfg_scale, 2.0);
  EXPECT_EQ(prompt.picture.height, 64);
  EXPECT_EQ(prompt.picture.width, 32);
  EXPECT_EQ(prompt.num_inference_steps, 3);
  EXPECT_EQ(prompt.guidance_scale, 1.25);
  EXPECT_EQ(prompt.max_sequence_length, 16);
  EXPECT_EQ(prompt.picture.seed, 18446744073709551615U);
  EXPECT_EQ(prompt.picture.noise_dtype, at::kHalf);
  EXPECT_EQ(prompt.id, "a.b_C-7");
}

TEST(Requests, AnIdIsWhatMayNameAFile) {
  const std::string longest(64, 'x');
  EXPECT_EQ(from_stdin("{\"prompt\": \"a\", \"id\": \"" + longest + "\"}").at(0).prompt.id, longest);
  for (const std::string& id :
       {std::string(), longest + "x", std::string("../x"), std::string("a b"), std::string("\u00e9")})
    EXPECT_THAT(only_error("{\"prompt\": \"a\", \"id\": \"" + id + "\"}"),
                HasSubstr("id: is no id of 1 to 64 letters"));
}

TEST(Requests, BadJsonFailsAloneWithItsLine) {
  EXPECT_THAT(only_error("{\"prompt\": \"a\", \"steps\": 3}"), "stdin:2: there is no field \"steps\"");
  EXPECT_THAT(only_error("{\"prompt\": \"a\", \"output_dir\": \"/\"}"), "stdin:2: there is no field \"output_dir\"");
  EXPECT_THAT(only_error("{\"prompt\": \"a\", \"prompt\": \"b\"}"), "stdin:2: prompt: is there twice");
  EXPECT_THAT(only_error("{\"prompt\": null}"), HasSubstr("there is no \"prompt\""));
  EXPECT_THAT(only_error("{\"prompt\": \"a\", \"sigmas\": [1, null]}"), HasSubstr("sigmas: is null"));
  EXPECT_THAT(only_error("{\"prompt\": \"a\", \"height\": 64.5}"), HasSubstr("height: "));
  EXPECT_THAT(only_error("{\"prompt\": \"a\", \"seed\": 1e300}"), HasSubstr("seed: "));
  EXPECT_THAT(only_error("{\"prompt\": \"a\", \"bogus\": null}"), HasSubstr("there is no field \"bogus\""));
  EXPECT_THAT(only_error("{\"prompt\": \"a\", \"height\": 64.5}"), "stdin:2: height: \"64.5\" is not a whole number");
  EXPECT_THAT(only_error("{\"prompt\": \"a\", \"height\": -64}"), "stdin:2: height: -64 is less than 2");
  EXPECT_THAT(only_error("{\"prompt\": \"a\", \"height\": 15}"), "stdin:2: height: 15 is less than 16");
  EXPECT_THAT(only_error("{\"prompt\": \"a\", \"width\": 2}"), "stdin:2: width: 2 is less than 16");
  EXPECT_THAT(only_error("{\"prompt\": \"a\", \"height\": \"64\"}"), "stdin:2: height: is a text; a number is wanted");
  EXPECT_THAT(only_error("{\"prompt\": \"a\", \"height\": [64]}"), HasSubstr("height: is an array"));
  EXPECT_THAT(only_error("{\"prompt\": \"a\", \"sigmas\": 1}"), HasSubstr("sigmas: is a number; an array"));
  EXPECT_THAT(only_error("{\"prompt\": \"a\", \"sigmas\": []}"), HasSubstr("sigmas: is empty"));
  EXPECT_THAT(only_error("{\"prompt\": \"a\", \"sigmas\": [1, \"0.5\"]}"), HasSubstr("sigmas: is a text"));
  EXPECT_THAT(only_error("{\"prompt\": \"a\", \"sigmas\": [1, [0.5]]}"), HasSubstr("sigmas: is an array"));
  EXPECT_THAT(only_error("{\"prompt\": \"a\", \"sigmas\": [1, 1.5]}"), HasSubstr("sigmas: 1.5 is more than 1"));
  EXPECT_THAT(only_error("{\"prompt\": \"a\", \"height\": true}"), HasSubstr("height: is a truth value"));
  EXPECT_THAT(only_error("{\"prompt\": 3}"), "stdin:2: prompt: is a number; a text is wanted");
  EXPECT_THAT(only_error("{\"prompt\": {\"a\": 1}}"), HasSubstr("prompt: is an object"));
  EXPECT_THAT(only_error("{\"prompt\": \"a\", \"guidance_scale\": NaN}"), HasSubstr("stdin:2: is not JSON at column"));
  EXPECT_THAT(only_error("{\"prompt\": \"a\", \"guidance_scale\": \"NaN\"}"), HasSubstr("guidance_scale: is a text"));
  EXPECT_THAT(only_error("{\"prompt\": \"a\", \"guidance_scale\": 1e999}"), HasSubstr("stdin:2: "));
  EXPECT_THAT(only_error("{\"prompt\": \"a\", \"noise_dtype\": \"int8\"}"), HasSubstr("is none of fp32, bf16, fp16"));
  EXPECT_THAT(only_error("{\"prompt\": \"a\", \"max_sequence_length\": 513}"), HasSubstr("513 is more than 512"));
  EXPECT_THAT(only_error("{\"prompt\": \"a\\u0000\"}"), "stdin:2: prompt: holds a NUL character");
  EXPECT_THAT(only_error("{\"prompt\": \"\\ud800\"}"), HasSubstr("is not JSON at column"));
  EXPECT_THAT(only_error("{\"prompt\": \"\xff\"}"), HasSubstr("is not JSON at column"));
  EXPECT_THAT(only_error("{\"prompt\": \"a\"} {"), HasSubstr("is not JSON at column"));
  EXPECT_THAT(only_error("{\"prompt\": \"a\""), HasSubstr("is not JSON at column"));
  EXPECT_THAT(only_error("{\"seed\": 1}"), "stdin:2: there is no \"prompt\"");
  EXPECT_THAT(only_error("[1]"), HasSubstr("is neither an object such as"));
  EXPECT_THAT(only_error("\"a\""), HasSubstr("is no JSON object"));
  EXPECT_THAT(only_error("17"), HasSubstr("is no JSON object"));
  EXPECT_THAT(only_error("null"), HasSubstr("is no JSON object"));
  EXPECT_THAT(only_error(std::string(100'000, '[')), HasSubstr("is not JSON"));
  EXPECT_THAT(only_error("{\"prompt\":" + std::string(100'000, '{')), HasSubstr("is not JSON"));
}

TEST(Requests, TablesAsPandasWritesThem) {
  const auto requests =
      drawn(dev_settings({{"prompts", "-"}}),
            "{\"prompt\": \"a\", \"height\": 64.0, \"seed\": 42.0, \"prompt_2\": null, \"sigmas\": null, \"id\": 7}\n"
            "{\"id\": 8.0, \"prompt\": \"b\", \"height\": null, \"seed\": null, \"prompt_2\": \"c\"}\n")
          .requests;
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].error, "");
  EXPECT_EQ(requests[0].prompt.picture.height, 64);
  EXPECT_EQ(requests[0].prompt.picture.seed, 42u);
  EXPECT_EQ(requests[0].prompt.prompt_2, std::nullopt);
  EXPECT_EQ(requests[0].prompt.id, "7");
  EXPECT_EQ(requests[1].error, "");
  EXPECT_EQ(requests[1].prompt.id, "8");
  EXPECT_EQ(requests[1].prompt.picture.height, 1024);
  EXPECT_EQ(requests[1].prompt.picture.seed, 101u) << "that of its position";
}

TEST(Requests, EveryCutOfAGoodLineFailsCleanly) {
  const std::string line = R"({"prompt": "caf\u00e9 \ud83d\ude00", "height": 64, "guidance_scale": 1.5e0, "seed": 3})";
  for (size_t length = 1; length < line.size(); ++length) {
    EXPECT_NE(only_error(line.substr(0, length)), "") << line.substr(0, length);
  }
  EXPECT_EQ(only_error(line), "");
}

TEST(Requests, EveryByteOfAGoodLineMayBeAnother) {
  const std::string line = R"({"prompt": "a", "height": 64})";
  for (size_t i = 0; i < line.size(); ++i) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string mutant = line;
      mutant[i] = static_cast<char>(byte);
      if (byte == '\n' || byte == '\r') continue;
      EXPECT_THAT(only_error(mutant), ::testing::AnyOf("", HasSubstr("stdin:2: ")));
    }
  }
}

TEST(Requests, TextLinesFailAlone) {
  const auto [requests, warnings] =
      drawn(dev_settings({{"prompts", "-"}}),
            "\xef\xbb\xbfone\r\n\r\n \t\nnot utf-8 \xc0\xaf\n\xed\xa0\x80\nlast, without an end");
  ASSERT_EQ(requests.size(), 4U);
  EXPECT_EQ(requests[0].prompt.prompt, "one");
  EXPECT_EQ(said(requests[1]), "stdin:4: is not UTF-8");
  EXPECT_EQ(said(requests[2]), "stdin:5: is not UTF-8");
  EXPECT_EQ(requests[3].prompt.prompt, "last, without an end");
  EXPECT_EQ(requests[3].prompt.picture.seed, 103U);
  EXPECT_THAT(warnings, ElementsAre("stdin: 2 empty lines are left out"));
}

TEST(Requests, AHugeLineFailsAloneAndIsNotKept) {
  const auto requests = from_stdin("one\n" + std::string(3 << 20, 'x') + "\n" + std::string(1 << 20, 'y') + "\r\nfour");
  ASSERT_EQ(requests.size(), 4U);
  EXPECT_EQ(said(requests[1]), "stdin:2: is over 1 MiB");
  EXPECT_EQ(requests[2].prompt.prompt.size(), size_t{1} << 20);
  EXPECT_EQ(requests[3].prompt.prompt, "four");
}

TEST(Requests, ARunThatIsTooLargeIsRefused) {
  std::string lines;
  for (int i = 0; i < 1001; ++i) lines += "x\n";
  EXPECT_THROW(drawn(dev_settings({{"prompts", "-"}, {"num_images_per_prompt", "1000"}}), lines), Invalid);
}

TEST(Requests, SizesAreRoundedDownWithAWarning) {
  const auto whole_run = drawn(dev_settings({{"prompts", "-"}, {"height", "100"}}), "one\ntwo\n");
  EXPECT_EQ(whole_run.requests[1].prompt.picture.height, 96);
  EXPECT_THAT(whole_run.warnings, ElementsAre("--height: 100 is not a multiple of 16; drawing 96"));
  const auto one = drawn(dev_settings({{"prompts", "-"}}), "{\"prompt\": \"a\", \"width\": 129}\n");
  EXPECT_EQ(one.requests[0].prompt.picture.width, 128);
  EXPECT_THAT(one.warnings, ElementsAre("stdin:1: width: 129 is not a multiple of 16; drawing 128"));
}

TEST(Requests, ATokensSideIsTheModels) {
  const auto [requests, warnings] = drawn(dev_settings({{"prompts", "-"}, {"height", "9"}}),
                                          "{\"prompt\": \"a\", \"width\": 15}\n{\"prompt\": \"b\", \"width\": 3}\n", 4);
  EXPECT_EQ(requests[0].prompt.picture.height, 8);
  EXPECT_EQ(requests[0].prompt.picture.width, 12);
  EXPECT_EQ(requests[0].prompt.picture.tokens(), 6);
  EXPECT_EQ(said(requests[1]), "stdin:2: width: 3 is less than 4");
  EXPECT_THAT(warnings, ElementsAre("--height: 9 is not a multiple of 4; drawing 8",
                                    "stdin:1: width: 15 is not a multiple of 4; drawing 12"));
  EXPECT_THROW(drawn(dev_settings({{"prompt", "a"}, {"height", "3"}}), "", 4), Invalid);
}

TEST(Requests, AModelsDefaultIs64TokensASide) {
  ModelFolder folder(source_folder() / "configs/demo");
  const auto side = [&](size_t blocks) {
    folder.vae.block_out_channels.resize(blocks, 32);
    Settings settings;
    add_model_defaults(settings, folder);
    EXPECT_EQ(settings.text("width"), settings.text("height"));
    return settings.text("height");
  };
  EXPECT_EQ(side(4), "1024");
  EXPECT_EQ(side(1), "128");  // as diffusers: 128 latents
  EXPECT_EQ(side(8), "16384");
}

TEST(Requests, ANegativePromptWithoutEffectIsSaid) {
  const auto whole_run = drawn(dev_settings({{"prompts", "-"}, {"negative_prompt", "dog"}}), "one\ntwo\n");
  EXPECT_THAT(whole_run.warnings, ElementsAre("the negative prompt does nothing unless true_cfg_scale is over 1"));
  const auto one = drawn(dev_settings({{"prompts", "-"}}), "{\"prompt\": \"a\", \"true_cfg_scale\": 2}\n");
  EXPECT_THAT(one.warnings,
              ElementsAre("stdin:1: true_cfg_scale and negative_prompt_2 do nothing without negative_prompt"));
}

}  // namespace
}  // namespace flux
