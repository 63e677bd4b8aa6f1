#include "runtime/options/invocation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "parallel/rank/errors.h"
#include "runtime/options/convert.h"
#include "runtime/options/option.h"
#include "tests/runtime/options/scratch_folder.h"

namespace flux {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

using Arguments = std::vector<std::string>;

/// What is wrong with an invocation; empty when nothing is.
std::string problem(const Arguments& arguments, const Environment& environment = {}) {
  try {
    read_invocation(arguments, environment);
  } catch (const Invalid& error) {
    return error.what();
  }
  return "";
}

/// A value that the option accepts, as text on a command line.
std::string sample(const Option& option) {
  if (option.yes_no) return "true";
  if (option.name == "sigmas") return "0.5";
  if (option.name == "memory_limit") return "14GiB";
  if (option.metavar == "TIME") return "90s";
  if (option.metavar.find('|') != std::string::npos && std::islower(option.metavar.front())) {
    return option.metavar.substr(option.metavar.rfind('|') + 1);
  }
  return "32";  // a number, a text and a path alike
}

/// The words that an option of the verb comes behind: bench has some for one measure alone.
Arguments words_before(const std::string& verb, const Option& option) {
  if (verb != "bench" || option.measures.empty() || option.name == "measure") return {verb};
  return {verb, option.measures.front()};
}

Arguments joined(Arguments words, const Arguments& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// As it stands in a textproto.
std::string in_textproto(const Option& option) {
  std::string value = sample(option);
  std::replace(value.begin(), value.end(), '-', '_');  // of names of choices
  static const std::set<std::string> texts = {"TEXT", "TIME", "SIZE", "NAME", "ID", "K/N", "ADDRESS"};
  const bool quoted =
      texts.contains(option.metavar) || option.metavar.find("FILE") == 0 || option.metavar.find("FOLDER") == 0;
  return option.name + ": " + (quoted ? "\"" + value + "\"" : value) + "\n";
}

std::string value_line(const Invocation& invocation, const Option& option) {
  for (const std::string& verb : option.verbs) {
    const std::string text = invocation.settings.print(verb);
    const size_t start = text.find("\n" + option.name + ": ");
    if (text.starts_with(option.name + ": ")) return text.substr(0, text.find('\n'));
    if (start != std::string::npos) return text.substr(start + 1, text.find('\n', start + 1) - start - 1);
  }
  return "";
}

/// --config itself needs a file, and the tests below read one.
std::vector<Option> options_but_config() {
  std::vector<Option> options = all_options();
  std::erase_if(options, [](const Option& option) { return option.name == "config"; });
  return options;
}

class EveryOption : public ::testing::TestWithParam<Option> {};

TEST_P(EveryOption, IsAFlagOfItsVerbsAndOfNoOther) {
  const Option& option = GetParam();
  EXPECT_FALSE(option.help.empty());
  EXPECT_FALSE(option.group.empty());
  ASSERT_FALSE(option.verbs.empty());
  for (const std::string& verb : all_verbs()) {
    const Arguments arguments = joined(words_before(verb, option),
                                       option.yes_no ? Arguments{option.flag} : Arguments{option.flag, sample(option)});
    if (!option.belongs_to(verb)) {
      EXPECT_THAT(problem(arguments), HasSubstr(option.flag + " is none of its options"));
      continue;
    }
    const Invocation invocation = read_invocation(arguments, {});
    EXPECT_TRUE(invocation.settings.has(option.name));
    EXPECT_EQ(invocation.settings.origin(option.name), option.flag);
    EXPECT_THAT(read_invocation({verb, "--help"}, {}).answer, HasSubstr(option.flag));
  }
}

TEST_P(EveryOption, IsAnEnvironmentVariable) {
  const Option& option = GetParam();
  const Invocation invocation = read_invocation({"generate"}, {{option.environment, sample(option)}});
  EXPECT_TRUE(invocation.settings.has(option.name));
  EXPECT_EQ(invocation.settings.origin(option.name), option.environment);
}

TEST_P(EveryOption, IsAFieldOfConfig) {
  const Option& option = GetParam();
  const ScratchFolder folder;
  const auto file = folder.write("a.textproto", "# first line\n" + in_textproto(option));
  const Arguments arguments = {"generate", "--config", file.string()};
  if (option.command_line_only) {
    EXPECT_THAT(problem(arguments), StartsWith(file.string() + ":2:1: "));
    return;
  }
  const Invocation invocation = read_invocation(arguments, {});
  EXPECT_TRUE(invocation.settings.has(option.name));
  EXPECT_THAT(value_line(invocation, option), HasSubstr("# " + file.string() + ":2"));
}

TEST_P(EveryOption, FlagBeatsEnvironmentBeatsConfig) {
  const Option& option = GetParam();
  if (option.command_line_only) return;
  const ScratchFolder folder;
  const auto file = folder.write("a.textproto", in_textproto(option));
  const Arguments verb = words_before(option.verbs.front(), option);
  const std::string value = sample(option);
  const Environment environment = {{option.environment, value}};
  const std::string flag = option.yes_no ? option.flag : option.flag + "=" + value;
  const auto origin = [&](const Arguments& arguments, const Environment& variables) {
    return read_invocation(joined(verb, arguments), variables).settings.origin(option.name);
  };
  EXPECT_EQ(origin({flag, "--config", file.string()}, environment), option.flag);
  EXPECT_EQ(origin({"--config", file.string()}, environment), option.environment);
  EXPECT_EQ(origin({"--config", file.string()}, {}), file.string() + ":1");
  EXPECT_EQ(origin({}, {}), "default");
}

TEST_P(EveryOption, SurvivesTheWayToOtherRanks) {
  const Option& option = GetParam();
  const Invocation invocation = read_invocation({"generate"}, {{option.environment, sample(option)}});
  EXPECT_EQ(Settings::deserialized(invocation.settings.serialized()).text(option.name),
            invocation.settings.text(option.name));
}

/// Each way to give an option an empty value.
std::vector<Arguments> empty_values(const Option& option) {
  std::vector<Arguments> forms = {{option.flag + "="}, {option.flag, ""}};
  if (option.short_flag.empty()) return forms;
  forms.push_back({"-" + option.short_flag + "="});
  forms.push_back({"-" + option.short_flag, ""});
  return forms;
}

TEST_P(EveryOption, GivenNothingTakesNothingElse) {
  const Option& option = GetParam();
  const std::string another = option.name == "print_config" ? "log_level" : "print_config";
  for (const std::string& verb : option.verbs) {
    for (const Arguments& form : empty_values(option)) {
      Arguments arguments = joined(words_before(verb, option), form);
      arguments.push_back(another == "log_level" ? "--log-level=info" : "--print-config");
      if (option.metavar != "TEXT") {
        EXPECT_THAT(problem(arguments), HasSubstr(form.size() == 1 ? option.flag + ": " : "")) << form[0];
        EXPECT_NE(problem(arguments), "") << form[0];
        continue;
      }
      const Invocation invocation = read_invocation(arguments, {});
      EXPECT_EQ(invocation.settings.text(option.name), "\"\"") << form[0];
      EXPECT_TRUE(invocation.settings.has(another));
    }
  }
}

TEST_P(EveryOption, IsNoValueOfAnother) {
  const Option& option = GetParam();
  for (const std::string& verb : option.verbs) {
    EXPECT_THAT(problem({verb, "--log-level", option.flag}),
                StartsWith("--log-level: its value is missing; write --log-level=" + option.flag));
  }
}

TEST(Bench, RefusesOptionsOfAnotherMeasure) {
  EXPECT_EQ(problem({"bench", "step", "--request-rate", "2"}),
            "--request-rate: is none of the options of bench step; it is for bench throughput");
  EXPECT_EQ(problem({"bench", "throughput", "--repetitions", "2"}),
            "--repetitions: is none of the options of bench throughput; it is for bench step or bench decode or bench "
            "stages or bench comm");
  EXPECT_EQ(problem({"bench", "compare", "a", "b", "--height", "64"}),
            "--height: is none of the options of bench compare");
  const Invocation compare = read_invocation({"bench", "compare", "a.jsonl", "b.jsonl", "--json"}, {});
  EXPECT_THAT(compare.settings.text("baseline"), HasSubstr("a.jsonl"));
  EXPECT_THAT(compare.settings.text("candidate"), HasSubstr("b.jsonl"));
}

INSTANTIATE_TEST_SUITE_P(Options, EveryOption, ::testing::ValuesIn(options_but_config()),
                         [](const auto& option) { return option.param.name; });

TEST(Invocation, WhatComesInLaterVersionsIsUnknown) {
  for (const std::string flag : {"--trace", "--simulate"}) {
    EXPECT_EQ(problem({"generate", flag, "1"}),
              "flux-dist generate: " + flag + " is none of its options; see flux-dist generate --help");
  }
  EXPECT_THAT(problem({"plan", "--largest"}), HasSubstr("--largest is none of its options"));
  for (const std::string verb : {"serve", "", "--bogus"}) {
    EXPECT_THAT(problem({verb}), HasSubstr("is none of its verbs"));
  }
  EXPECT_THAT(problem({}), HasSubstr("say what to do"));
}

TEST(Invocation, SaysWhichFlagIsWrong) {
  EXPECT_EQ(problem({"generate", "--height", "12.5"}), "--height: \"12.5\" is not a whole number");
  EXPECT_EQ(problem({"generate", "--height", "1"}), "--height: 1 is less than 2");
  EXPECT_EQ(problem({"generate", "--height", "99999999999999999999"}),
            "--height: \"99999999999999999999\" is too large");
  EXPECT_EQ(problem({"generate", "--guidance-scale", "nan"}), "--guidance-scale: is not a finite number");
  EXPECT_EQ(problem({"generate", "--guidance-scale", "inf"}), "--guidance-scale: is not a finite number");
  EXPECT_EQ(problem({"generate", "--seed=-1"}), "--seed: \"-1\" is not a whole number from 0");
  EXPECT_EQ(problem({"generate", "--device", "CPU"}), "--device: \"CPU\" is none of auto, cpu, cuda");
  EXPECT_EQ(problem({"generate", "--timeout", "60"}),
            "--timeout: \"60\" is not a time such as 500ms, 60s, 10min or 1h");
  EXPECT_EQ(problem({"generate", "--replicas", "3,0"}), "--replicas: 0 is less than 1");
  EXPECT_EQ(problem({"generate", "--config="}), "--config: is empty");
  EXPECT_EQ(problem({"generate", "-p", "--seed", "5"}),
            "--prompt: its value is missing; write --prompt=--seed if the next option is meant");
  EXPECT_EQ(problem({"generate", "--sigmas", "1,0.5,2"}), "--sigmas: 2 is more than 1");
  std::string many = "1";
  for (int i = 0; i < 1000; ++i) many += ",0.5";
  EXPECT_EQ(problem({"generate", "--sigmas", many}), "--sigmas: 1001 values are more than 1000");
  EXPECT_EQ(problem({"generate", "--sigmas", "1,nan"}), "--sigmas: is not a finite number");
  EXPECT_EQ(problem({"generate", "--replicas", "3,"}), "--replicas: \"\" is not a whole number");
  EXPECT_EQ(problem({"generate", "--max-sequence-length", "513"}), "--max-sequence-length: 513 is more than 512");
  EXPECT_EQ(problem({"generate", "-p", "a\xff"}), "--prompt: is not UTF-8");
  EXPECT_EQ(problem({"generate", "--output-dir", ""}), "--output-dir: is empty");
  EXPECT_EQ(problem({"generate", "--overwrite=maybe"}), "--overwrite: \"maybe\" is neither true nor false");
  EXPECT_EQ(problem({"generate", "--height", "32", "--height=48"}), "--height: is there twice");
  EXPECT_EQ(problem({"generate", "-p", "a", "--prompt="}), "--prompt: is there twice");
  EXPECT_EQ(problem({"generate", "--overwrite", "--overwrite"}), "--overwrite: is there twice");
  EXPECT_EQ(problem({"generate", "--height"}), "--height: its value is missing");
  EXPECT_THAT(problem({"generate", "a", "stray", "prompt"}), HasSubstr("a is none of its options"));
}

TEST(Invocation, SaysWhichVariableIsWrong) {
  EXPECT_EQ(problem({"generate"}, {{"FLUX_DIST_WIDTH", "x"}}), "FLUX_DIST_WIDTH: \"x\" is not a whole number");
  EXPECT_EQ(problem({"generate"}, {{"FLUX_DIST_WIDHT", "32"}}), "FLUX_DIST_WIDHT: there is no such option; unset it");
  EXPECT_EQ(problem({"generate"}, {{"FLUX_DIST_WIDTH", ""}}), "");
}

TEST(Invocation, TextsOfFlagsAreTakenAsTheyAre) {
  for (const std::string text : {"[a, b]", "{a}", "a,b", "'quoted'", "\"twice\"", "a=b", "", " ", "%x", "#no comment",
                                 "line\nbreak", "\xe2\x9d\xa4"}) {
    const Invocation invocation = read_invocation({"tokenize", "-p", text}, {});
    EXPECT_EQ(text_options(invocation.settings).prompt, text);
  }
  for (const Arguments& arguments : {Arguments{"--prompt=--overwrite"}, Arguments{"-p=--overwrite"},
                                     Arguments{"-p--overwrite"}, Arguments{"-p", "--overwrite"}}) {
    Arguments whole = {"tokenize"};  // where --overwrite is no option
    whole.insert(whole.end(), arguments.begin(), arguments.end());
    EXPECT_EQ(text_options(read_invocation(whole, {}).settings).prompt, "--overwrite");
  }
  EXPECT_EQ(text_options(read_invocation({"tokenize", "-p", "-minus"}, {}).settings).prompt, "-minus");
}

TEST(Invocation, AFlagTakesBackWhatConfigSays) {
  const ScratchFolder folder;
  const auto file = folder.write("a.textproto", "overwrite: true\nprompts: \"many.txt\"");
  const Invocation invocation =
      read_invocation({"generate", "--config", file.string(), "--overwrite=false", "-p", "one"}, {});
  EXPECT_EQ(output_options(invocation.settings).previous, Previous::refuse);
  EXPECT_FALSE(invocation.settings.has("prompts"));
  EXPECT_EQ(problem({"generate", "-p", "one", "--prompts", "many.txt"}),
            "--prompt and --prompts: give one prompt, or a file of prompts, not both");
}

TEST(Invocation, ARunIsResumedOrOverwritten) {
  const ScratchFolder folder;
  const auto file = folder.write("a.textproto", "overwrite: true");
  const auto previous = [&](const Arguments& arguments) {
    Arguments whole = {"generate", "--config", file.string(), "-p", "one"};
    whole.insert(whole.end(), arguments.begin(), arguments.end());
    return output_options(read_invocation(whole, {}).settings).previous;
  };
  EXPECT_EQ(previous({}), Previous::overwrite);
  EXPECT_EQ(previous({"--resume"}), Previous::resume) << "the stronger layer decides";
  EXPECT_EQ(previous({"--resume=false"}), Previous::overwrite);
  EXPECT_EQ(previous({"--overwrite=false"}), Previous::refuse);
  EXPECT_EQ(problem({"generate", "-p", "one", "--resume", "--overwrite"}),
            "--resume and --overwrite: draw what is missing, or everything anew, not both");
  EXPECT_EQ(problem({"generate", "-p", "one", "--resume", "--overwrite=false"}), "");
}

TEST(Invocation, HelpTeachesAndStops) {
  const std::string text = read_invocation({"generate", "--help"}, {}).answer;
  for (const std::string part : {"--num-inference-steps", "dev 28, schnell 4", "auto|cpu|cuda", "Examples:", "mpirun",
                                 "Exit codes", "FLUX_DIST_HEIGHT"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  EXPECT_THAT(text, Not(HasSubstr("--ranks ")));
  EXPECT_THAT(read_invocation({"--help"}, {}).answer, HasSubstr("tokenize"));
  EXPECT_THAT(read_invocation({"--version"}, {}).answer, StartsWith("flux-dist "));
}

TEST(Invocation, SigmasAreAList) {
  const auto sigmas = [](const Arguments& arguments) {
    return plan_options(read_invocation(arguments, {}).settings).sigmas;
  };
  EXPECT_EQ(sigmas({"plan", "--sigmas", "1,0.75,0.1"}), (std::vector<double>{1, 0.75, 0.1}));
  EXPECT_EQ(sigmas({"plan"}), std::vector<double>{});
  const std::string printed = read_invocation({"plan", "--sigmas=1,0.5"}, {}).settings.print("plan");
  EXPECT_THAT(printed, HasSubstr("sigmas: 1  # --sigmas\nsigmas: 0.5  # --sigmas\n"));
}

TEST(Invocation, PrintedConfigReadsBack) {
  const ScratchFolder folder;
  const Invocation invocation =
      read_invocation({"generate", "-p", "\"quotes\"\n\xe2\x9d\xa4", "--replicas", "3,4", "--timeout", "5s", "--seed",
                       "18446744073709551615", "--overwrite", "--true-cfg-scale", "2.5"},
                      {});
  const std::string printed = invocation.settings.print("generate");
  const auto file = folder.write("printed.textproto", printed);
  const Invocation again = read_invocation({"generate", "--config", file.string()}, {});
  EXPECT_EQ(again.settings.text("prompt"), invocation.settings.text("prompt"));
  EXPECT_EQ(again.settings.text("seed"), "18446744073709551615");
  EXPECT_EQ(placement_options(again.settings).replicas, (std::vector<int>{3, 4}));
  EXPECT_EQ(operation_options(again.settings).timeout, std::chrono::seconds(5));
  EXPECT_THAT(printed, HasSubstr("num_images_per_prompt: 1  # default\n"));
  EXPECT_THAT(printed, HasSubstr("# height: 64 tokens: 1024 in FLUX.1\n"));
  EXPECT_THAT(printed, HasSubstr("# log_dir: standard error only\n"));
}

}  // namespace
}  // namespace flux
