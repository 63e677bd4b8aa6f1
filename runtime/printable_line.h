#pragma once

#include <string>
#include <string_view>

namespace flux {

/// Text from outside for a terminal or a log line: control and direction characters and what is not UTF-8 become '?',
/// line ends and tabs spaces; longer than `most` characters, it is cut and ends with "...".
std::string printable_line(std::string_view text, size_t most = 200);

}  // namespace flux
