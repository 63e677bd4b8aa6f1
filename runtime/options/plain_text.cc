#include "runtime/options/plain_text.h"

#include <string_view>

#include "parallel/rank/errors.h"

namespace flux {
namespace {

using namespace std::string_view_literals;

/// Two bytes a character betray themselves by their mark, or by a NUL beside the first letter.
bool two_bytes_wide(std::string_view bytes) {
  if (bytes.starts_with("\xff\xfe"sv) || bytes.starts_with("\xfe\xff"sv)) return true;
  return bytes.size() > 3 && ((bytes[0] == 0) != (bytes[1] == 0)) && ((bytes[2] == 0) != (bytes[3] == 0));
}

}  // namespace

std::string plain_text(std::string bytes) {
  constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
  if (bytes.starts_with("\0\0\xfe\xff"sv) || two_bytes_wide(bytes)) {
    throw Invalid("is UTF-16 or UTF-32; save it as UTF-8");
  }
  if (bytes.starts_with(byte_order_mark)) bytes.erase(0, byte_order_mark.size());
  size_t kept = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] == '\r' && i + 1 < bytes.size() && bytes[i + 1] == '\n') continue;
    bytes[kept++] = bytes[i] == '\r' ? '\n' : bytes[i];
  }
  bytes.resize(kept);
  return bytes;
}

}  // namespace flux
