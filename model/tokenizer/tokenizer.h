#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace flux {

/// No vocabulary is larger: what is no id is told by it.
inline constexpr int64_t kMaxTokenId = 1 << 24;

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
  Tokens operator()(std::string_view text, int64_t max_length) const;

  /// What fills a sequence up: CLIP's <|endoftext|>, T5's 0.
  int64_t padding() const { return frame().padding; }

 protected:
  /// The special tokens that every sequence has.
  struct Frame {
    std::vector<int64_t> begin;
    int64_t end;
    int64_t padding;
  };

 private:
  virtual const Frame& frame() const = 0;
  virtual void encode(std::string_view text, std::vector<int64_t>& ids) const = 0;
  virtual std::string decode(const std::vector<int64_t>& ids) const = 0;
};

/// CLIPTokenizer, of tokenizer.json or of vocab.json and merges.txt: byte-level BPE with `</w>`.
std::unique_ptr<const Tokenizer> clip_tokenizer(const std::filesystem::path& folder);

/// T5TokenizerFast, of tokenizer.json or of spiece.model: unigram sentencepiece.
std::unique_ptr<const Tokenizer> t5_tokenizer(const std::filesystem::path& folder);

/// The files that these read in this folder, whether they are there or not. As transformers: tokenizer.json counts
/// where it is there. tokenizer_config.json must be there, since without its model_max_length FluxPipeline draws
/// nothing.
std::vector<std::string> clip_tokenizer_files(const std::filesystem::path& folder);
std::vector<std::string> t5_tokenizer_files(const std::filesystem::path& folder);

}  // namespace flux
