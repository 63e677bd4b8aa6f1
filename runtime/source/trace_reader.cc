#include "runtime/source/trace_reader.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <functional>
#include <system_error>
#include <utility>
#include <variant>

#include "model/files/printable.h"
#include "model/files/text_lines.h"
#include "parallel/rank/errors.h"
#include "runtime/options/field.h"

namespace flux {
namespace {

constexpr std::string_view kBegin = "Request(";
constexpr std::string_view kBlanks = " \t";

struct None {};
struct Number {
  double value = 0;
  std::string text;
};
using Value = std::variant<None, Number, std::string>;

/// name=value, ... as Python's repr() writes it.
class Reader {
 public:
  explicit Reader(std::string_view rest) : rest_(rest) {}

  /// Whether there is another name; after the last one nothing but the bracket.
  bool next_name(std::string& name) {
    skip();
    if (!name.empty() && !rest_.empty() && rest_.front() == ',') {
      rest_.remove_prefix(1);
      skip();
    } else if (!name.empty() && rest_ != ")") {
      throw Invalid("a comma or the closing bracket is missing behind " + name);
    }
    if (rest_ == ")") return false;
    const size_t end = std::min(rest_.find('='), rest_.size());
    name = rest_.substr(0, end);
    name.erase(name.find_last_not_of(kBlanks) + 1);
    if (end == rest_.size() || name.empty() ||
        name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789") != std::string::npos)
      throw Invalid(fmt::format("\"{}\" is no field=value", printable_line(rest_, 40)));
    rest_.remove_prefix(end + 1);
    return true;
  }

  Value value() {
    skip();
    if (!rest_.empty() && (rest_.front() == '\'' || rest_.front() == '"')) return text();
    const std::string_view word = rest_.substr(0, rest_.find_first_of(",) \t"));
    rest_.remove_prefix(word.size());
    if (word == "None") return None{};
    Number number{0, std::string(word)};
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number.value);
    if (word.empty() || error != std::errc() || end != word.data() + word.size())
      throw Invalid(fmt::format("\"{}\" is neither a text, a number nor None", printable_line(word, 40)));
    return number;
  }

 private:
  void skip() { rest_.remove_prefix(std::min(rest_.find_first_not_of(kBlanks), rest_.size())); }

  char take() {
    if (rest_.empty()) throw Invalid("a text does not end");
    const char one = rest_.front();
    rest_.remove_prefix(1);
    return one;
  }

  std::string text() {
    const char quote = take();
    std::string result;
    for (char one = take(); one != quote; one = take()) {
      if (one == '\\')
        result += escaped();
      else
        result += one;
    }
    return result;
  }

  std::string escaped() {
    switch (const char one = take()) {
      case 'n':
        return "\n";
      case 't':
        return "\t";
      case 'r':
        return "\r";
      case 'x':
        return character(2);
      case 'u':
        return character(4);
      case 'U':
        return character(8);
      default:
        return {one};
    }
  }

  /// Of so many hexadecimal digits.
  std::string character(size_t digits) {
    uint32_t code = 0;
    const std::string_view word = rest_.substr(0, digits);
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), code, 16);
    if (word.size() != digits || error != std::errc() || end != word.data() + digits || code > INT32_MAX ||
        !utf8proc_codepoint_valid(static_cast<utf8proc_int32_t>(code)))
      throw Invalid(fmt::format("\"{}\" is no character", printable_line(word, 10)));
    rest_.remove_prefix(digits);
    std::array<utf8proc_uint8_t, 4> bytes{};
    const auto size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code), bytes.data());
    return {bytes.begin(), bytes.begin() + size};
  }

  std::string_view rest_;
};

double number(const std::string& name, const Value& value) {
  constexpr double largest = 1e12;
  const auto* number = std::get_if<Number>(&value);
  if (number == nullptr || !(number->value >= 0 && number->value <= largest))
    throw Invalid(fmt::format("{}: is no number from 0 to {:g}", name, largest));
  return number->value;
}

/// As on a command line: 512.0 is a whole number.
std::string plain(const Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  const Number& number = std::get<Number>(value);
  const bool whole = number.value == std::trunc(number.value) && std::abs(number.value) < 1e15;
  return whole ? fmt::format("{:.0f}", number.value) : number.text;
}

/// A field of the options, with the checks of any request.
void set(proto::Options& options, const std::string& name, const Value& value) {
  const auto& field = *proto::Options::descriptor()->FindFieldByName(name);
  const bool text = std::holds_alternative<std::string>(value);
  try {
    if (text != (name == "prompt"))
      throw Invalid(text ? "is a text; a number is wanted" : "is a number; a text is wanted");
    set_field(options, field, plain(value));
    if (const std::string problem = field_problem(options, field); !problem.empty()) throw Invalid(problem);
  } catch (const Invalid& error) {
    throw Invalid(name + ": " + error.what());
  }
}

void take(TraceRequest& request, const std::string& name, const Value& value) {
  constexpr std::array numbers = {"width", "height", "num_inference_steps", "seed"};
  if (std::holds_alternative<None>(value) || name == "request_id") return;
  if (name == "prompt" || name == "text") return set(request.line.options, "prompt", value);
  if (std::ranges::find(numbers, name) != numbers.end()) return set(request.line.options, name, value);
  if (name == "timestamp" || name == "slo_ms") {
    (name == "timestamp" ? request.timestamp : request.slo_ms) = number(name, value);
    return;
  }
  if (name == "num_frames" && number(name, value) == 1) return;
  throw Invalid(fmt::format("there is no field \"{}\" of pictures that are drawn from text", printable_line(name, 40)));
}

/// take(FILE:LINE, the line without blanks around it) of those that are not empty.
void for_each_request(std::string_view text, const std::string& name,
                      const std::function<void(const std::string&, std::string_view)>& take) {
  each_text_line(text, [&](int64_t number, std::string_view line) {
    const size_t begin = line.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos) return;
    take(fmt::format("{}:{}", name, number), line.substr(begin, line.find_last_not_of(kBlanks) + 1 - begin));
  });
}

TraceRequest request_of(std::string_view line) {
  if (line.size() > RequestLine::longest) throw Invalid("is over 1 MiB");
  if (!line.starts_with(kBegin)) throw Invalid("is no Request(...)");
  Reader reader(line.substr(kBegin.size()));
  TraceRequest request;
  for (std::string name; reader.next_name(name);) take(request, name, reader.value());
  if (!request.line.options.has_prompt()) request.line.options.set_prompt("");
  return request;
}

}  // namespace

bool is_trace(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t\n"), text.size()));
  return text.starts_with(kBegin);
}

std::vector<TraceRequest> read_trace(std::string_view text, const std::string& name) {
  std::vector<TraceRequest> requests;
  for_each_request(text, name, [&](const std::string& origin, std::string_view line) {
    try {
      requests.push_back(request_of(line));
    } catch (const Invalid& error) {
      throw Invalid(origin + ": " + error.what());
    }
    requests.back().line.origin = origin;
  });
  return requests;
}

RequestLines read_trace_prompts(std::string_view text, const std::string& name, const Warn& warn) {
  RequestLines lines;
  bool timed = false;
  for_each_request(text, name, [&](const std::string& origin, std::string_view line) {
    TraceRequest request;
    try {
      request = request_of(line);
    } catch (const Invalid& error) {
      request.line.error = error.what();
    }
    timed |= request.timestamp || request.slo_ms;
    request.line.origin = origin;
    lines.add(request.line);
  });
  if (timed) warn(name + ": timestamp and slo_ms are left out; `bench throughput --dataset` keeps them");
  return lines;
}

}  // namespace flux
