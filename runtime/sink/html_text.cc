#include "runtime/sink/html_text.h"

#include "model/files/printable.h"

namespace flux {

std::string html_text(const std::string& text) {
  std::string result;
  for (char c : printable_line(text, 2000)) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

}  // namespace flux
