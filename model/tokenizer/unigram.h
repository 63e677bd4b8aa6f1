#pragma once

#include <sentencepiece_processor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/tokenizer/vocabulary.h"

namespace flux {

/// T5's unigram language model, run by sentencepiece: of all ways to write a text in pieces the likeliest.
/// Subword Regularization (Kudo); tokenizers' models::Unigram.
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
  /// The vocabulary's, of sentencepiece's, which has the text of the unknown piece besides.
  int64_t own(int id) const;

  sentencepiece::SentencePieceProcessor processor_;
};

}  // namespace flux
