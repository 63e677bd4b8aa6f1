#include "runtime/source/request_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "parallel/rank/errors.h"
#include "runtime/source/input.h"

namespace flux {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Read {
  std::vector<std::string> prompts;  // or ORIGIN: ERROR
  std::vector<std::string> warnings;
  std::string refusal;
};

Read read(const std::string& bytes, const std::string& name) {
  Read result;
  try {
    const auto warn = [&](const std::string& text) { result.warnings.push_back(text); };
    std::istringstream stream(bytes);
    const RequestLines lines = read_requests(read_stream(stream, name).text(), name, warn);
    for (size_t i = 0; i < lines.size(); ++i) {
      const RequestLine line = lines[i];
      result.prompts.push_back(line.error.empty() ? line.options.prompt() : line.origin + ": " + line.error);
    }
  } catch (const Invalid& error) {
    result.refusal = error.what();
  }
  return result;
}

std::vector<std::string> prompts(const std::string& bytes, const std::string& name) {
  const Read result = read(bytes, name);
  EXPECT_EQ(result.refusal, "");
  return result.prompts;
}

const std::vector<std::string> names = {"a.json", "a.JSON", "a.jsonl", "a.JSONL", "a.ndjson",
                                        "a.txt",  "a.Txt",  "a",       "stdin",   "/dev/fd/63"};

/// Ways to write two requests as JSON.
const std::vector<std::string> two_as_json = {
    "{\"prompt\": \"one\"}\n{\"prompt\": \"two\"}\n",
    "\n\n{\"prompt\": \"one\"}\n\n  {\"prompt\": \"two\"}",
    "{\"prompt\": \"one\"} {\"prompt\": \"two\"}",
    "{\n  \"prompt\": \"one\"\n}\n{\n  \"prompt\": \"two\"\n}\n",
    "[{\"prompt\": \"one\"}, {\"prompt\": \"two\"}]",
    "[\n  {\"prompt\": \"one\"},\n  {\"prompt\": \"two\"}\n]\n",
    "[\"one\", \"two\"]",
    "[\n  \"one\",\n  {\"prompt\": \"two\"}\n]",
    "[\"one\"]\n[\"two\"]",
    "\xef\xbb\xbf[\"one\", \"two\"]",
    "{\"prompt\": \"one\"}\r\n{\"prompt\": \"two\"}\r\n",
    "{\"prompt\": \"one\"}\r{\"prompt\": \"two\"}\r",
};

TEST(RequestFile, WhatIsJsonIsReadAsJsonUnderAnyName) {
  for (const std::string& name : names) {
    for (const std::string& text : two_as_json) {
      EXPECT_THAT(prompts(text, name), ElementsAre("one", "two")) << name << ": " << text;
    }
  }
}

TEST(RequestFile, SourceTextOfJsonIsNeverAPrompt) {
  for (const std::string& name : names) {
    for (const std::string text :
         {"# comment\n{\"prompt\": \"one\"}\n", "// comment\n\n{\n  \"prompt\": \"one\"\n}\n", "# comment\n[\"one\"]",
          "[\"one\",]", "[\n  {\"prompt\": \"one\"},\n]", "{\n  \"prompt\": \"one\",\n}", "{\"prompts\": [\"one\"]}",
          "[{\"prompt\": \"one\"}", "one\n{\"prompt\": \"one\"}\n", "[[\"one\"]]", "[1, 2]", "[]", "{}"}) {
      for (const std::string& prompt : read(text, name).prompts) {
        if (prompt == "one") continue;
        EXPECT_THAT(prompt, HasSubstr(name + ":")) << name << ": " << text;
      }
    }
  }
}

TEST(RequestFile, TextMayBeginWithABracket) {
  for (const std::string text : {"{red|blue} circle", "[photo] a cat", "[a, b]", "{", "[", "{{x}}"}) {
    EXPECT_THAT(prompts(text + "\nanother", "a.txt"), ElementsAre(text, "another"));
  }
  EXPECT_THAT(prompts("[photo] a cat", "stdin"), ElementsAre("[photo] a cat"));
  EXPECT_THAT(prompts("# 1 fan\n\"quoted\"", "stdin"), ElementsAre("# 1 fan", "\"quoted\""));
}

TEST(RequestFile, ObjectsAndTextsOfAnArrayFailAlone) {
  EXPECT_THAT(
      prompts("[\n\"one\",\n{\"prompt\": 2},\n{\"steps\": 1, \"prompt\": {\"a\": [{}]}},\n3, null,\n[\"x\"],\n"
              "{\"prompt\": \"two\", \"sigmas\": [1, 0.5]}]",
              "a.json"),
      ElementsAre("one", "a.json:3: prompt: is a number; a text is wanted", "a.json:4: there is no field \"steps\"",
                  "a.json:5: is neither an object such as {\"prompt\": \"a red circle\"} nor a text",
                  "a.json:5: is neither an object such as {\"prompt\": \"a red circle\"} nor a text",
                  "a.json:6: is neither an object such as {\"prompt\": \"a red circle\"} nor a text", "two"));
}

TEST(RequestFile, WhatIsNotJsonIsSaidInPlainWords) {
  EXPECT_EQ(read("[\"one\",\n \"two\" \"three\"]", "a.json").refusal,
            "a.json:2: is not JSON at column 8: \"\"\" is not expected there");
  EXPECT_EQ(read("[\"one\",\n", "a.json").refusal, "a.json:2: is not JSON at column 1: it ends too early");
  EXPECT_EQ(read("a cat\na dog\n", "a.jsonl").refusal,
            "a.jsonl:1: is not JSON at column 1: \"a\" is not expected there");
  EXPECT_EQ(read("{\n  \"prompt\": 'one'\n}\n", "a.json").refusal,
            "a.json:2: is not JSON at column 13: \"'\" is not expected there");
  EXPECT_THAT(prompts("{\"prompt\": \"one\"}\n{\"seed\": 1e999, \"prompt\": \"x\"}\n{\"prompt\": \"\x1b\"}", "a.jsonl"),
              ElementsAre("one", "a.jsonl:2: is not JSON at column 10: the number there is too large",
                          "a.jsonl:3: is not JSON at column 13: \"?\" is not expected there"));
}

TEST(RequestFile, ALineThatIsBrokenFailsAlone) {
  EXPECT_THAT(prompts("{\n{\"prompt\": \"two\"}\n{\"prompt\": \"three\"\n", "a.jsonl"),
              ElementsAre("a.jsonl:1: is not JSON at column 2: it ends too early", "two",
                          "a.jsonl:3: is not JSON at column 19: it ends too early"));
}

TEST(RequestFile, EmptyLinesAreLeftOutWithOneWarning) {
  const Read result = read("\none\n\n  \ntwo\n\t\n", "a.txt");
  EXPECT_THAT(result.prompts, ElementsAre("one", "two"));
  EXPECT_THAT(result.warnings, ElementsAre("a.txt: 4 empty lines are left out"));
  EXPECT_THAT(read("one\n", "a.txt").warnings, IsEmpty());
  EXPECT_THAT(read("one\n\n", "a.txt").warnings, ElementsAre("a.txt: 1 empty line is left out"));
  EXPECT_THAT(read("{\"prompt\": \"one\"}\n\n", "a.jsonl").warnings, IsEmpty());
  for (const std::string text : {"", "\n", " \n\t\n", "\xef\xbb\xbf", "[]"}) {
    EXPECT_EQ(read(text, "a").refusal, "a: holds no prompts");
  }
}

TEST(RequestFile, LinesEndAsAnyEditorEndsThem) {
  for (const std::string end : {"\n", "\r\n", "\r"}) {
    EXPECT_THAT(prompts("one" + end + "two" + end, "a.txt"), ElementsAre("one", "two"));
    EXPECT_THAT(prompts("one" + end + "two", "a.txt"), ElementsAre("one", "two"));
  }
  EXPECT_THAT(prompts("one\n{\"prompt\": \"two\"}", "a.txt"),
              ElementsAre("one", "a.txt:2: is JSON in a file of text; put it into a .jsonl file"));
}

TEST(RequestFile, Utf16IsNamedAsSuch) {
  using namespace std::string_literals;
  for (const std::string& bytes : {"\xff\xfeo\0n\0e\0"s, "\xfe\xff\0o\0n\0e"s, "o\0n\0e\0\n\0"s, "\0o\0n\0e"s,
                                   "\xff\xfe\0\0o\0\0\0"s, "\0\0\xfe\xff\0\0\0o"s}) {
    EXPECT_EQ(read(bytes, "a.txt").refusal, "a.txt: is UTF-16 or UTF-32; save it as UTF-8");
  }
}

TEST(RequestFile, NoDepthIsTooMuch) {
  EXPECT_THAT(read(std::string(100'000, '['), "a.json").refusal, HasSubstr("is not JSON"));
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  EXPECT_THAT(prompts("{\"prompt\": " + deep + "}\n{\"prompt\": \"two\"}", "a"),
              ElementsAre("a:1: prompt: is an array; a text or a number is wanted", "two"));
}

TEST(RequestFile, ATextThatIsTooLongFailsAlone) {
  const std::string text(RequestLine::longest + 1, 'x');
  for (const std::string& bytes :
       {text + "\ntwo", "{\"prompt\": \"" + text + "\"}\n{\"prompt\": \"two\"}", "[\"" + text + "\", \"two\"]"}) {
    EXPECT_THAT(prompts(bytes, "a"), ElementsAre("a:1: is over 1 MiB", "two"));
  }
}

/// Of vLLM-Omni's benchmark, whatever its name.
TEST(RequestFile, ATraceIsDrawnAtOnce) {
  const std::string trace =
      "\nRequest(request_id='1', prompt='one', width=64, "
      "timestamp=1.5)\nRequest(prompt=3)\r\n\nRequest(text=\"two\")\n";
  for (const char* name : {"trace.txt", "trace", "stdin"}) {
    const Read result = read(trace, name);
    EXPECT_THAT(result.prompts,
                ElementsAre("one", std::string(name) + ":3: prompt: is a number; a text is wanted", "two"));
    EXPECT_THAT(result.warnings, ElementsAre(HasSubstr("timestamp and slo_ms are left out")));
  }
  EXPECT_THAT(read("Request(prompt='one')", "t.txt").warnings, IsEmpty());
}

}  // namespace
}  // namespace flux
