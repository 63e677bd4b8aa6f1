#pragma once

#include <cstdint>
#include <istream>
#include <optional>
#include <string>

namespace flux {

struct Line {
  int64_t number = 0;     // from 1
  std::string text;       // without its end
  bool too_long = false;  // over Lines::longest; the text is dropped
};

/// The lines of an untrusted stream in bounded memory. LF or CRLF; a byte order mark is skipped; the last line may lack
/// its end.
class Lines {
 public:
  static constexpr size_t longest = 1 << 20;         // bytes of a line
  static constexpr size_t longest_stream = 1 << 28;  // bytes in all

  Lines(std::istream& stream, std::string name) : stream_(stream), name_(std::move(name)) {}

  /// Nothing at the end. Throws Invalid when the stream fails or is over longest_stream.
  std::optional<Line> next();

 private:
  std::istream& stream_;
  std::string name_;  // for messages
  int64_t number_ = 0;
  size_t bytes_ = 0;
};

}  // namespace flux
