#include "model/tokenizer/character_map.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "model/files/printable.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

constexpr size_t kMostBytes = 1 << 20;  // nmt_nfkc has 240,000
// sentencepiece has room for 32 matches at one place of the text, and each is a byte longer than the one before.
constexpr int kLongestKey = 32;              // bytes
constexpr size_t kLongestReplacement = 256;  // bytes

uint32_t word(std::string_view bytes, size_t index) {
  uint32_t value;
  std::memcpy(&value, bytes.data() + 4 * index, 4);
  return value;
}

/// Darts-clone's double array. Bit 31 of a unit marks a value, bit 8 a key that ends here, the rest are label and
/// offset; the child for a byte is at the unit's base XOR that byte, if its label is that byte.
class Trie {
 public:
  Trie(std::string_view units, std::string_view replacements)
      : units_(units), size_(units.size() / 4), replacements_(replacements) {}

  /// Goes through all keys at once, a byte at a time. Every base is met once a byte, so this ends.
  bool is_sound() const {
    if (!is_inside(base(0))) return false;
    std::vector<size_t> bases = {base(0)};
    for (int length = 0; !bases.empty(); ++length) {
      std::vector<size_t> longer;
      for (const size_t from : bases) {
        if (!add_children(from, longer)) return false;
      }
      if (length == kLongestKey && !longer.empty()) return false;
      std::sort(longer.begin(), longer.end());
      longer.erase(std::unique(longer.begin(), longer.end()), longer.end());
      bases = std::move(longer);
    }
    return true;
  }

 private:
  size_t base(size_t at) const {
    const uint32_t unit = word(units_, at);
    return at ^ ((unit >> 10) << ((unit & (1u << 9)) >> 6));
  }

  bool is_inside(size_t from) const { return (from | 0xff) < size_; }

  bool add_children(size_t from, std::vector<size_t>& bases) const {
    constexpr uint32_t kValue = 1u << 31, kEnds = 1u << 8;
    for (uint32_t label = 0; label <= 0xff; ++label) {
      const size_t at = from ^ label;
      const uint32_t unit = word(units_, at);
      if ((unit & (kValue | 0xff)) != label) continue;
      if (!is_inside(base(at))) return false;
      if ((unit & kEnds) && !is_replacement(word(units_, base(at)) & ~kValue)) return false;
      bases.push_back(base(at));
    }
    return true;
  }

  bool is_replacement(size_t at) const {
    return at < replacements_.size() && (at == 0 || replacements_[at - 1] == '\0');
  }

  std::string_view units_;
  size_t size_;
  std::string_view replacements_;
};

bool are_texts(std::string_view replacements) {
  if (!replacements.ends_with('\0') || !is_utf8(replacements)) return false;
  for (size_t begin = 0; begin < replacements.size();) {
    const size_t end = replacements.find('\0', begin);
    if (end - begin > kLongestReplacement) return false;
    begin = end + 1;
  }
  return true;
}

/// A map is the trie's size in bytes, the trie, and the replacements, each ended by a NUL.
bool is_sound(std::string_view map) {
  const size_t trie_bytes = map.size() > 4 ? word(map, 0) : 0;
  if (trie_bytes == 0 || trie_bytes % 4 != 0 || trie_bytes > map.size() - 4) return false;
  const std::string_view trie = map.substr(4, trie_bytes), replacements = map.substr(4 + trie_bytes);
  return are_texts(replacements) && Trie(trie, replacements).is_sound();
}

}  // namespace

void check_character_map(std::string_view map, const std::string& file) {
  if (map.empty()) throw Invalid(file + ": has no character map (precompiled_charsmap), which T5's has");
  if (map.size() > kMostBytes || !is_sound(map)) {
    throw Invalid(file + ": the character map (precompiled_charsmap) is damaged; copy the file again");
  }
}

}  // namespace flux
