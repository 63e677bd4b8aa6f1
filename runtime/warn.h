#pragma once

#include <functional>
#include <string>

namespace flux {

/// Who hears of what is odd, and does not stop the program.
using Warn = std::function<void(const std::string&)>;

/// The log does.
void log_warning(const std::string& text);

}  // namespace flux
