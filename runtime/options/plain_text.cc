#include "runtime/options/plain_text.h"

#include "parallel/rank/errors.h"

namespace flux {
namespace {

using namespace std::string_view_literals;

/// Two bytes a character betray themselves by their mark, or by a NUL beside the first letter.
bool two_bytes_wide(std::string_view bytes) {
  if (bytes.starts_with("\xff\xfe"sv) || bytes.starts_with("\xfe\xff"sv)) return true;
  return bytes.size() > 3 && ((bytes[0] == 0) != (bytes[1] == 0)) && ((bytes[2] == 0) != (bytes[3] == 0));
}

std::string_view without_mark(std::string_view bytes) {
  constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
  if (bytes.starts_with("\0\0\xfe\xff"sv) || two_bytes_wide(bytes)) {
    throw Invalid("is UTF-16 or UTF-32; save it as UTF-8");
  }
  return bytes.substr(bytes.starts_with(byte_order_mark) ? byte_order_mark.size() : 0);
}

}  // namespace

std::string PlainText::next(std::string_view bytes) {
  if (!begun_) bytes = without_mark(bytes);
  begun_ = true;
  std::string text;
  text.reserve(bytes.size());
  for (const char byte : bytes) {
    const bool counted = byte == '\n' && after_return_;
    after_return_ = byte == '\r';
    if (!counted) text += after_return_ ? '\n' : byte;
  }
  return text;
}

}  // namespace flux
