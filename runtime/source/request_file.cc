#include "runtime/source/request_file.h"

#include <string_view>

#include "parallel/rank/errors.h"
#include "runtime/options/field.h"
#include "runtime/source/json_request.h"
#include "runtime/source/lines.h"

namespace flux {
namespace {

constexpr std::string_view blanks = " \t";

bool blank(const std::string& text) { return text.find_first_not_of(blanks) == std::string::npos; }

bool is_json(const std::string& name, const Line& first) {
  if (name.ends_with(".txt")) return false;
  if (name.ends_with(".jsonl")) return true;
  return !blank(first.text) && first.text[first.text.find_first_not_of(blanks)] == '{';
}

proto::Options read_text_request(const std::string& text) {
  proto::Options options;
  options.set_prompt(text);
  const auto& field = *proto::Options::descriptor()->FindFieldByNumber(proto::Options::kPromptFieldNumber);
  if (const std::string problem = field_problem(options, field); !problem.empty()) throw Invalid(problem);
  return options;
}

proto::Options read_line(const Line& line, bool json) {
  if (line.too_long) throw Invalid("is over 1 MiB");
  if (blank(line.text)) throw Invalid("is empty");
  return json ? read_json_request(line.text) : read_text_request(line.text);
}

}  // namespace

std::vector<Request> read_requests(std::istream& stream, const std::string& name) {
  Lines lines(stream, name);
  std::vector<Request> requests;
  bool json = false;
  while (const auto line = lines.next()) {
    if (requests.empty()) json = is_json(name, *line);
    if (requests.size() >= 1'000'000) throw Invalid(name + ": is over 1,000,000 lines; split it");
    Request request{name + ":" + std::to_string(line->number), {}, {}};
    try {
      request.options = read_line(*line, json);
    } catch (const Invalid& error) {
      request.error = error.what();
    }
    requests.push_back(std::move(request));
  }
  if (requests.empty()) throw Invalid(name + ": holds no prompts");
  return requests;
}

}  // namespace flux
