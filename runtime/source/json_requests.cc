#include "runtime/source/json_requests.h"

#include <boost/iostreams/device/array.hpp>
#include <boost/iostreams/stream.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "model/files/printable.h"
#include "model/files/text_lines.h"
#include "parallel/rank/errors.h"
#include "runtime/source/request_fields.h"

namespace flux {
namespace {

/// Where a text stops being JSON.
struct SyntaxError {
  size_t offset = 0;
  bool number_too_large = false;
};

/// Counts lines while it goes forward through a text.
class LineCounter {
 public:
  explicit LineCounter(std::string_view text) : text_(text) {}

  int64_t line_of(size_t offset) {
    line_ += std::count(text_.begin() + static_cast<ptrdiff_t>(counted_),
                        text_.begin() + static_cast<ptrdiff_t>(offset), '\n');
    counted_ = offset;
    return line_;
  }

 private:
  std::string_view text_;
  size_t counted_ = 0;
  int64_t line_ = 1;
};

struct Values {
  RequestLines requests;
  std::optional<SyntaxError> error;  // after them
};

/// Values one after the other, until one is not JSON.
class ValueReader {
 public:
  ValueReader(std::string_view text, std::string name, int64_t first_line)
      : text_(text),
        name_(std::move(name)),
        first_line_(first_line),
        stream_(text.data(), static_cast<std::streamsize>(text.size())),
        lines_(text) {}

  Values read() {
    RequestFields fields([this] { begun_ = position(); },
                         [this](const proto::Options& options, const std::string& error) { add(options, error); });
    for (size_t at = skip(0); at < text_.size(); at = skip(position())) {
      begun_ = at;
      stream_.clear();
      stream_.seekg(static_cast<std::streamoff>(at));
      if (nlohmann::json::sax_parse(stream_, &fields, nlohmann::json::input_format_t::json, /*strict=*/false)) continue;
      const size_t end = at + fields.error_position();
      values_.error = {end > text_.size() ? text_.size() : end - fields.error_length(), fields.number_too_large()};
      break;
    }
    return std::move(values_);
  }

 private:
  size_t skip(size_t from) const { return std::min(text_.find_first_not_of(json_spaces, from), text_.size()); }

  /// Of the next byte that the parser takes.
  size_t position() {
    const auto at = stream_.rdbuf()->pubseekoff(0, std::ios::cur, std::ios::in);
    return at < 0 ? text_.size() : static_cast<size_t>(at);
  }

  void add(const proto::Options& options, const std::string& error) {
    const int64_t line = first_line_ + lines_.line_of(begun_) - 1;
    RequestLine request{name_ + ":" + std::to_string(line), options, error};
    if (std::max(position() - begun_, options.prompt().size()) > RequestLine::longest)
      request = {request.origin, {}, "is over 1 MiB"};
    values_.requests.add(request);
  }

  const std::string_view text_;
  const std::string name_;
  const int64_t first_line_;
  boost::iostreams::stream<boost::iostreams::array_source> stream_;
  LineCounter lines_;
  size_t begun_ = 0;  // of the request at hand
  Values values_;
};

/// With the bytes that go on with it.
std::string_view character_at(std::string_view text, size_t offset) {
  size_t end = offset + 1;
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U) ++end;
  return text.substr(offset, end - offset);
}

std::string described(const SyntaxError& error, std::string_view text) {
  const size_t line_start = error.offset == 0 ? 0 : text.rfind('\n', error.offset - 1) + 1;
  const std::string where = fmt::format("is not JSON at column {}: ", error.offset - line_start + 1);
  if (error.number_too_large) return where + "the number there is too large";
  if (error.offset >= text.size()) return where + "it ends too early";
  return where + fmt::format("\"{}\" is not expected there", printable_line(character_at(text, error.offset)));
}

struct Lines {
  RequestLines requests;
  bool some_good = false;
};

/// Each line by itself.
Lines read_lines(std::string_view text, const std::string& name) {
  Lines lines;
  each_text_line(text, [&](int64_t number, std::string_view line) {
    Values values = ValueReader(line, name, number).read();
    if (values.error) {
      lines.requests.add({name + ":" + std::to_string(number), {}, described(*values.error, line)});
      return;
    }
    for (size_t i = 0; i < values.requests.size(); ++i) {
      const RequestLine request = values.requests[i];
      lines.some_good |= request.options.has_prompt();
      lines.requests.add(request);
    }
  });
  return lines;
}

}  // namespace

RequestLines read_json_requests(std::string_view text, const std::string& name) {
  Values values = ValueReader(text, name, 1).read();
  if (!values.error) return std::move(values.requests);
  Lines lines = read_lines(text, name);
  const bool array = text[text.find_first_not_of(json_spaces)] == '[';
  if (!array && (lines.some_good || lines.requests.size() == 1)) return std::move(lines.requests);
  throw Invalid(
      fmt::format("{}:{}: {}", name, LineCounter(text).line_of(values.error->offset), described(*values.error, text)));
}

}  // namespace flux
