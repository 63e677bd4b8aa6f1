#include "runtime/source/lines.h"

#include "parallel/rank/errors.h"

namespace flux {

std::optional<Line> Lines::next() {
  constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
  Line line{++number_, {}, false};
  auto* buffer = stream_.rdbuf();
  int c = buffer->sbumpc();
  if (c == std::char_traits<char>::eof()) return std::nullopt;
  for (; c != std::char_traits<char>::eof() && c != '\n'; c = buffer->sbumpc()) {
    if (++bytes_ > longest_stream) throw Invalid(name_ + ": is over 256 MiB; split it");
    if (line.text.size() < longest + 2) line.text.push_back(static_cast<char>(c));  // + 2: CR, and one too many
  }
  if (number_ == 1 && line.text.starts_with(byte_order_mark)) line.text.erase(0, byte_order_mark.size());
  if (line.text.ends_with('\r')) line.text.pop_back();
  line.too_long = line.text.size() > longest;
  if (line.too_long) line.text.clear();
  ++bytes_;
  return line;
}

}  // namespace flux
