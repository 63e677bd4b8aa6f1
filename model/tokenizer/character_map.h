#pragma once

#include <filesystem>
#include <string_view>

namespace flux {

/// Checks the character map inside a serialised sentencepiece model (normalizer_spec.precompiled_charsmap), which
/// sentencepiece follows without bounds: every step of its double array stays inside, every replacement exists.
/// Throws Invalid naming `file`.
void check_character_map(std::string_view model, const std::filesystem::path& file);

}  // namespace flux
