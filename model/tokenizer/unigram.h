#pragma once

#include <sentencepiece_processor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/tokenizer/vocabulary.h"

namespace flux {

/// T5's unigram language model: of all ways to write a text in pieces the likeliest. sentencepiece normalises the text;
/// it is cut here, because ways of equal likelihood are frequent ("......") and Hugging Face adds in double precision,
/// word by word. Subword Regularization (Kudo); tokenizers' models::Unigram.
class Unigram {
 public:
  /// Throws Invalid naming `file` when sentencepiece cannot hold the vocabulary.
  Unigram(const Vocabulary& vocabulary, const std::string& file);

  std::optional<int64_t> find(const std::string& piece) const;
  int64_t size() const { return processor_.GetPieceSize() - 1; }

  void encode(std::string_view text, std::vector<int64_t>& ids) const;

  /// Ids past the vocabulary (added tokens) are left out.
  std::string decode(const std::vector<int64_t>& ids) const;

 private:
  struct Piece {
    std::string text;
    int64_t id;
    double score;
  };
  using Found = std::function<void(const Piece& piece)>;

  /// The vocabulary's, of sentencepiece's, which has the text of the unknown piece besides.
  int64_t own(int id) const;
  std::string normalised(std::string_view text) const;
  void encode_word(std::string_view word, std::vector<int64_t>& ids) const;
  void find_prefixes(std::string_view text, const Found& found) const;

  sentencepiece::SentencePieceProcessor processor_;
  std::vector<Piece> pieces_;  // in the order of their bytes
  double unknown_score_;
};

}  // namespace flux
