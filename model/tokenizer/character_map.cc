#include "model/tokenizer/character_map.h"

#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "parallel/rank/errors.h"

namespace flux {
namespace {

/// The fields of a protobuf message on the wire.
class Fields {
 public:
  explicit Fields(std::string_view message) : rest_(message) {}

  /// Every length-delimited field `wanted` (protobuf merges them), up to where the message is damaged.
  std::vector<std::string_view> all(uint64_t wanted) {
    std::vector<std::string_view> found;
    while (!rest_.empty()) {
      const auto key = varint();
      const auto size = key ? field_size(*key & 7) : std::nullopt;
      if (!size || *size > rest_.size()) break;
      if (*key >> 3 == wanted && (*key & 7) == 2) found.push_back(rest_.substr(0, *size));
      rest_.remove_prefix(*size);
    }
    return found;
  }

 private:
  std::optional<uint64_t> varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return std::nullopt;
  }

  std::optional<uint64_t> field_size(uint64_t wire_type) {
    switch (wire_type) {
      case 0:
        return varint() ? std::optional<uint64_t>(0) : std::nullopt;
      case 1:
        return 8;
      case 2:
        return varint();
      case 5:
        return 4;
      default:
        return std::nullopt;
    }
  }

  std::string_view rest_;
};

uint32_t word(std::string_view bytes, size_t index) {
  uint32_t value;
  std::memcpy(&value, bytes.data() + 4 * index, 4);
  return value;
}

/// Darts-clone's units: bit 31 marks a value, bit 8 a key that ends here, the rest label and offset.
bool trie_stays_inside(std::string_view trie, size_t replacements) {
  constexpr uint32_t kValue = 1u << 31, kEnds = 1u << 8;
  const size_t units = trie.size() / 4;
  for (size_t at = 0; at < units; ++at) {
    const uint32_t unit = word(trie, at);
    if ((unit & kValue) && at > 0) continue;
    const size_t children = at ^ ((unit >> 10) << ((unit & (1u << 9)) >> 6));
    if ((children | 0xff) >= units) return false;
    if ((unit & kEnds) && (word(trie, children) & ~kValue) >= replacements) return false;
  }
  return units > 0;
}

/// A map is the trie's size in bytes, the trie, and the replacements, each ended by a NUL.
bool map_is_sound(std::string_view map) {
  const size_t trie_bytes = map.size() > 4 ? word(map, 0) : 0;
  const bool whole = trie_bytes > 0 && trie_bytes % 4 == 0 && trie_bytes + 4 < map.size() && map.back() == '\0';
  return whole && trie_stays_inside(map.substr(4, trie_bytes), map.size() - 4 - trie_bytes);
}

}  // namespace

void check_character_map(std::string_view model, const std::filesystem::path& file) {
  constexpr uint64_t kNormalizerSpec = 3, kPrecompiledCharsmap = 2;
  for (const auto normalizer : Fields(model).all(kNormalizerSpec)) {
    for (const auto map : Fields(normalizer).all(kPrecompiledCharsmap)) {
      if (map.empty() || map_is_sound(map)) continue;  // empty: the identity
      throw Invalid(file.string() + ": the character map (precompiled_charsmap) is damaged; copy the file again");
    }
  }
}

}  // namespace flux
