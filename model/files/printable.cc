#include "model/files/printable.h"

#include <utf8proc.h>

namespace flux {
namespace {

/// The first character of a text: its bytes, and what they stand for, -1 where they are no UTF-8.
struct Character {
  std::string_view bytes;
  utf8proc_int32_t code = -1;
};

Character first_character(std::string_view text) {
  utf8proc_int32_t code = -1;
  const auto length = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                       static_cast<utf8proc_ssize_t>(text.size()), &code);
  return length > 0 ? Character{text.substr(0, static_cast<size_t>(length)), code} : Character{text.substr(0, 1), -1};
}

/// What stands by itself and shows nothing, Unicode's segmentation calls a control: line ends, C0, C1, direction marks.
/// Joiners and tags belong to the character beside them and are none.
bool harmless(utf8proc_int32_t code) {
  if (code < 0) return false;
  const auto& property = *utf8proc_get_property(code);
  const bool control = property.boundclass == UTF8PROC_BOUNDCLASS_CR || property.boundclass == UTF8PROC_BOUNDCLASS_LF ||
                       property.boundclass == UTF8PROC_BOUNDCLASS_CONTROL;
  return !control && property.category != UTF8PROC_CATEGORY_CO;
}

std::string escaped(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
  }
  return text;
}

/// The text, each character replaced by what `shown` makes of it, cut after `most`.
template <typename Shown>
std::string rewritten(std::string_view text, size_t most, const Shown& shown) {
  std::string result;
  for (size_t count = 0; !text.empty(); ++count) {
    if (count == most) return result + "...";
    const Character character = first_character(text);
    result += shown(character);
    text.remove_prefix(character.bytes.size());
  }
  return result;
}

}  // namespace

bool is_id(std::string_view text) {
  constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return !text.empty() && text.size() <= 64 && text.find_first_not_of(allowed) == text.npos;
}

bool is_utf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const Character character = first_character(bytes);
    if (character.code < 0) return false;
    bytes.remove_prefix(character.bytes.size());
  }
  return true;
}

std::string valid_utf8(std::string_view bytes) {
  return rewritten(bytes, bytes.size(), [](const Character& character) {
    return character.code < 0 ? std::string("\xef\xbf\xbd") : std::string(character.bytes);
  });
}

std::string printable_line(std::string_view text, size_t most) {
  return rewritten(text, most, [](const Character& character) -> std::string {
    const bool blank = character.code == '\n' || character.code == '\t' || character.code == '\r';
    if (blank) return " ";
    return harmless(character.code) ? std::string(character.bytes) : "?";
  });
}

std::string quoted_name(std::string_view name) {
  constexpr size_t longest = 120;
  return "'" +
         rewritten(name, longest,
                   [](const Character& character) {
                     const bool plain = harmless(character.code) && character.code != '\'' && character.code != '\\';
                     return plain ? std::string(character.bytes) : escaped(character.bytes);
                   }) +
         "'";
}

}  // namespace flux
