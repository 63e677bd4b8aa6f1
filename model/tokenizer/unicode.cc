#include "model/tokenizer/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iterator>
#include <memory>

#include "parallel/rank/errors.h"

namespace flux {
namespace {

struct Range {
  int32_t first, last;
};

/// Code points with a combining class (or, U+11930, a composition) that came after Unicode 9, up to Unicode 15. The
/// normaliser of Hugging Face's tokenizers knows Unicode 9: to it they are letters that stay where they are.
constexpr Range kMarksAfterUnicode9[] = {
    {0x7fd, 0x7fd},     {0x898, 0x89f},     {0x8ca, 0x8d3},     {0x9fe, 0x9fe},     {0xc3c, 0xc3c},
    {0xd3b, 0xd3c},     {0xeba, 0xeba},     {0xece, 0xece},     {0x1715, 0x1715},   {0x1abf, 0x1ace},
    {0x1df6, 0x1dfa},   {0xa82c, 0xa82c},   {0x10d24, 0x10d27}, {0x10eab, 0x10eac}, {0x10efd, 0x10eff},
    {0x10f46, 0x10f50}, {0x10f82, 0x10f85}, {0x11070, 0x11070}, {0x1133b, 0x1133b}, {0x1145e, 0x1145e},
    {0x11839, 0x1183a}, {0x11930, 0x11930}, {0x1193d, 0x1193e}, {0x11943, 0x11943}, {0x119e0, 0x119e0},
    {0x11a34, 0x11a34}, {0x11a47, 0x11a47}, {0x11a99, 0x11a99}, {0x11d42, 0x11d42}, {0x11d44, 0x11d45},
    {0x11d97, 0x11d97}, {0x11f41, 0x11f42}, {0x16ff0, 0x16ff1}, {0x1e08f, 0x1e08f}, {0x1e130, 0x1e136},
    {0x1e2ae, 0x1e2ae}, {0x1e2ec, 0x1e2ef}, {0x1e4ec, 0x1e4ef},
};

bool is_mark_after_unicode_9(int32_t code_point) {
  const auto after = std::upper_bound(std::begin(kMarksAfterUnicode9), std::end(kMarksAfterUnicode9), code_point,
                                      [](int32_t value, const Range& range) { return value < range.first; });
  return after != std::begin(kMarksAfterUnicode9) && code_point <= std::prev(after)->last;
}

std::string composed(std::string_view text) {
  utf8proc_uint8_t* mapped = nullptr;
  const auto size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                   &mapped, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
  if (size < 0) throw Invalid(std::string("the text cannot be normalised: ") + utf8proc_errmsg(size));
  return {reinterpret_cast<const char*>(mapped), static_cast<size_t>(size)};
}

}  // namespace

int32_t take_code_point(std::string_view& text) {
  utf8proc_int32_t code_point = 0;
  const auto bytes = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                      static_cast<utf8proc_ssize_t>(text.size()), &code_point);
  if (bytes <= 0) throw Invalid("the text is not valid UTF-8");
  text.remove_prefix(static_cast<size_t>(bytes));
  return code_point;
}

void append_code_point(std::string& text, int32_t code_point) {
  std::array<utf8proc_uint8_t, 4> bytes;
  const auto size = utf8proc_encode_char(code_point, bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<size_t>(size));
}

bool is_space(int32_t code_point) {
  if (code_point == 0x85 || (code_point >= 0x09 && code_point <= 0x0d)) return true;
  const auto category = utf8proc_category(code_point);
  return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
}

bool is_letter(int32_t code_point) {
  const auto category = utf8proc_category(code_point);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool is_number(int32_t code_point) {
  const auto category = utf8proc_category(code_point);
  return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
}

std::string nfc(std::string_view text) {
  std::string normalised;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view begin = rest;
    const auto segment = [&] { return begin.substr(0, begin.size() - rest.size()); };
    std::string_view newer;
    while (!rest.empty() && newer.empty()) {
      std::string_view after = rest;
      if (is_mark_after_unicode_9(take_code_point(after))) {
        newer = rest.substr(0, rest.size() - after.size());
      } else {
        rest = after;
      }
    }
    normalised += composed(segment());
    normalised += newer;
    rest.remove_prefix(newer.size());
  }
  return normalised;
}

std::string lower_case(std::string_view text) {
  constexpr int32_t kCapitalIWithDot = 0x130, kCombiningDotAbove = 0x307;  // the one code point that becomes two
  std::string lower;
  lower.reserve(text.size());
  while (!text.empty()) {
    const int32_t code_point = take_code_point(text);
    if (code_point == kCapitalIWithDot) {
      append_code_point(lower, 'i');
      append_code_point(lower, kCombiningDotAbove);
    } else {
      append_code_point(lower, utf8proc_tolower(code_point));
    }
  }
  return lower;
}

}  // namespace flux
