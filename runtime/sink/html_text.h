#pragma once

#include <string>

namespace flux {

/// Any text as it may stand in HTML, in an attribute's quotes too: one line, escaped, cut after 2000 characters.
std::string html_text(const std::string& text);

}  // namespace flux
