#include "runtime/source/request_file.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <string_view>

#include "model/files/text_lines.h"
#include "parallel/rank/errors.h"
#include "runtime/options/field.h"
#include "runtime/source/json_requests.h"
#include "runtime/source/trace_reader.h"

namespace flux {
namespace {

constexpr std::string_view blanks = " \t";

std::string_view without(std::string_view text, std::string_view leading) {
  return text.substr(std::min(text.find_first_not_of(leading), text.size()));
}

bool blank(std::string_view line) { return without(line, blanks).empty(); }

/// Of a file's name, in lower case.
std::string extension(const std::string& name) {
  std::string text = std::filesystem::path(name).extension().string();
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

/// The text from its first line on that is neither empty nor a comment of those that people write above JSON.
std::string_view without_comments(std::string_view text) {
  text = without(text, json_spaces);
  while (text.starts_with('#') || text.starts_with("//")) {
    text = without(text.substr(std::min(text.find('\n'), text.size())), json_spaces);
  }
  return text;
}

/// Prompts may begin with a bracket ("{red|blue} circle", "[photo] a cat"), but not with what begins a request: {" or
/// an array of objects or texts. Without a name that says text, any { is meant as JSON.
bool is_json(const std::string& name, std::string_view text) {
  const std::string kind = extension(name);
  if (kind == ".json" || kind == ".jsonl" || kind == ".ndjson") return true;
  text = without_comments(text);
  if (text.empty() || (text.front() != '{' && text.front() != '[')) return false;
  if (text.front() == '{' && kind != ".txt") return true;
  const std::string_view inside = without(text.substr(1), json_spaces);
  const std::string_view begins = text.front() == '{' ? "\"}" : "{\"[]";
  return inside.empty() || begins.find(inside.front()) != std::string_view::npos;
}

proto::Options read_text_request(std::string_view text) {
  if (text.size() > RequestLine::longest) throw Invalid("is over 1 MiB");
  const std::string_view begin = without(text, blanks);
  if ((begin.front() == '{' || begin.front() == '[') && nlohmann::json::accept(begin)) {
    throw Invalid("is JSON in a file of text; put it into a .jsonl file");
  }
  proto::Options options;
  options.set_prompt(std::string(text));
  const auto& field = *proto::Options::descriptor()->FindFieldByNumber(proto::Options::kPromptFieldNumber);
  if (const std::string problem = field_problem(options, field); !problem.empty()) throw Invalid(problem);
  return options;
}

RequestLines read_text_requests(std::string_view text, const std::string& name, const Warn& warn) {
  RequestLines requests;
  int64_t empty = 0;
  each_text_line(text, [&](int64_t number, std::string_view line) {
    if (blank(line)) {
      ++empty;
      return;
    }
    RequestLine request{name + ":" + std::to_string(number), {}, {}};
    try {
      request.options = read_text_request(line);
    } catch (const Invalid& error) {
      request.error = error.what();
    }
    requests.add(request);
  });
  if (empty > 0) warn(fmt::format("{}: {} empty {} left out", name, empty, empty == 1 ? "line is" : "lines are"));
  return requests;
}

}  // namespace

RequestLines read_requests(std::string_view text, const std::string& name, const Warn& warn) {
  RequestLines requests = is_json(name, text) ? read_json_requests(text, name)
                          : is_trace(text)    ? read_trace_prompts(text, name, warn)
                                              : read_text_requests(text, name, warn);
  if (requests.empty()) throw Invalid(name + ": holds no prompts");
  return requests;
}

}  // namespace flux
