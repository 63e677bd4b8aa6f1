#pragma once

#include <string>
#include <string_view>

namespace flux {

/// Checks a character map (precompiled_charsmap), which sentencepiece follows without bounds: every step of its double
/// array stays inside and ends, every replacement exists, ends and is text. Throws Invalid naming `file`.
void check_character_map(std::string_view map, const std::string& file);

}  // namespace flux
