#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace flux {

/// T5's vocabulary, out of a spiece.model or a tokenizer.json: pieces of text with the logarithms of their
/// probabilities, the id of each its position, and how text is normalised before.
struct Vocabulary {
  static constexpr int kUnknown = 2;  // the piece for what the others do not cover, as Hugging Face's T5 has it

  struct Piece {
    std::string text;
    double score;
    bool control = false;  // named in prompts as a special token alone
  };
  std::vector<Piece> pieces;
  std::string character_map;  // sentencepiece's precompiled_charsmap
};

/// Throws Invalid naming `file` unless sentencepiece can hold all of it and follow it without leaving its memory.
void check(const Vocabulary& vocabulary, const std::string& file);

}  // namespace flux
