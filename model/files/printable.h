#pragma once

#include <cstddef>
#include <string>
#include <string_view>

// Text from outside, made safe for terminals, logs, messages and pages. What it may hold is harmless there: no control
// characters, no ends of lines, nothing that turns the direction of what follows. Joiners and whatever else belongs to
// the letter beside it stay: emoji and Persian are made of them.

namespace flux {

bool is_utf8(std::string_view bytes);

/// 1 to 64 letters, digits, dots, dashes and underscores, of ASCII: what may be part of a file's name.
bool is_id(std::string_view text);

/// U+FFFD for every byte that is not part of valid UTF-8.
std::string valid_utf8(std::string_view bytes);

/// One line: what may not stay becomes '?', ends of lines and tabs become spaces; longer than `most` characters, it is
/// cut and ends with "...".
std::string printable_line(std::string_view text, size_t most = 200);

/// A name out of a file as it may stand in a message: 'in quotes', what may not stay escaped, so that it can still be
/// told from others; cut to 120 characters.
std::string quoted_name(std::string_view name);

}  // namespace flux
