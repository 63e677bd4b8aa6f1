#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace flux {

/// Token ids of one text, with the special tokens the model expects, unpadded.
struct Tokens {
  std::vector<int64_t> ids;
  std::string dropped;  // the text that truncation cut off, empty when nothing was
};

/// Id for id what Hugging Face's fast tokenizers give. Immutable and thread-safe.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// `text` is valid UTF-8; at most `max_length` ids, special tokens included.
  virtual Tokens operator()(std::string_view text, int64_t max_length) const = 0;

  /// What fills a sequence up: CLIP's <|endoftext|>, T5's 0.
  virtual int64_t padding() const = 0;
};

/// CLIPTokenizer: vocab.json, merges.txt, special tokens from tokenizer_config.json. Byte-level BPE with `</w>`.
std::unique_ptr<const Tokenizer> clip_tokenizer(const std::filesystem::path& folder);

/// T5TokenizerFast: spiece.model (unigram sentencepiece), special tokens from tokenizer_config.json.
std::unique_ptr<const Tokenizer> t5_tokenizer(const std::filesystem::path& folder);

}  // namespace flux
