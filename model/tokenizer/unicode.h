#pragma once

#include <cstdint>
#include <string>
#include <string_view>

// Unicode as Hugging Face's `tokenizers` sees it (Rust's char and Oniguruma), over utf8proc.

namespace flux {

/// Takes the first code point off valid UTF-8.
int32_t take_code_point(std::string_view& text);

void append_code_point(std::string& text, int32_t code_point);

/// \s
bool is_space(int32_t code_point);

/// \p{L}
bool is_letter(int32_t code_point);

/// \p{N}
bool is_number(int32_t code_point);

/// Normalisation form C.
std::string nfc(std::string_view text);

/// Full lower-casing, code point by code point (no context: a final sigma is an ordinary one).
std::string lower_case(std::string_view text);

}  // namespace flux
