#include "runtime/printable_line.h"

#include <utf8proc.h>

namespace flux {
namespace {

bool harmless(utf8proc_int32_t code) {
  switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    default:
      return true;
  }
}

}  // namespace

std::string printable_line(std::string_view text, size_t most) {
  std::string result;
  size_t count = 0;
  while (!text.empty()) {
    if (count++ == most) return result + "...";
    utf8proc_int32_t code = -1;
    const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
    const auto length = utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(text.size()), &code);
    const size_t taken = length > 0 ? static_cast<size_t>(length) : 1;
    if (code == '\n' || code == '\t' || code == '\r') {
      result += ' ';
    } else if (length > 0 && harmless(code)) {
      result += text.substr(0, taken);
    } else {
      result += '?';
    }
    text.remove_prefix(taken);
  }
  return result;
}

}  // namespace flux
