#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

namespace flux {

/// Visits every line of a text, without its LF, with its number from 1 on. What is behind the last LF is a line if
/// there is any.
template <typename Visit>
void each_text_line(std::string_view text, const Visit& visit) {
  for (int64_t number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    visit(number, line);
  }
}

}  // namespace flux
