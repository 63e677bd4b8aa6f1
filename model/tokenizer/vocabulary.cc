#include "model/tokenizer/vocabulary.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "model/files/printable.h"
#include "model/tokenizer/character_map.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

// sentencepiece finds pieces by a hash that collides at will and builds its trie by recursion, a level a byte.
constexpr size_t kMostPieces = 1 << 16;
constexpr size_t kLongestPiece = 256;  // bytes
constexpr double kLargestScore = std::numeric_limits<float>::max();

/// What is wrong with a piece, or nothing.
const char* fault(const Vocabulary::Piece& piece) {
  const std::string_view text = piece.text;
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (text.empty()) return "is empty";
  if (text.size() > kLongestPiece) return "is too long";
  if (std::any_of(text.begin(), text.end(), is_control)) return "holds a control character";
  if (!is_utf8(text)) return "is not UTF-8";
  if (!(std::abs(piece.score) <= kLargestScore)) return "has a score that is no number";
  return nullptr;
}

void check_for_twins(const std::vector<Vocabulary::Piece>& pieces, const std::string& file) {
  std::vector<std::string_view> texts;
  texts.reserve(pieces.size());
  for (const auto& piece : pieces) texts.emplace_back(piece.text);
  std::sort(texts.begin(), texts.end());
  const auto twin = std::adjacent_find(texts.begin(), texts.end());
  if (twin != texts.end()) throw Invalid(file + ": piece " + quoted_name(*twin) + " is there twice");
}

}  // namespace

void check(const Vocabulary& vocabulary, const std::string& file) {
  const auto& pieces = vocabulary.pieces;
  if (pieces.size() <= Vocabulary::kUnknown) throw Invalid(file + ": lacks the unknown piece (<unk>), T5's third");
  if (pieces.size() > kMostPieces) {
    throw Invalid(file + ": " + std::to_string(pieces.size()) + " pieces, at most " + std::to_string(kMostPieces) +
                  " are accepted");
  }
  for (const auto& piece : pieces) {
    if (const char* why = fault(piece)) {
      throw Invalid(file + ": piece " + std::to_string(&piece - pieces.data()) + " " + quoted_name(piece.text) + " " +
                    why);
    }
  }
  check_for_twins(pieces, file);
  check_character_map(vocabulary.character_map, file);
}

}  // namespace flux
