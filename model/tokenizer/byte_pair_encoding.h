#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace flux {

/// CLIP's byte-level byte-pair encoding: vocab.json and merges.txt, words end with `</w>`.
/// Neural Machine Translation of Rare Words with Subword Units (Sennrich et al.); tokenizers' models::BPE.
class BytePairEncoding {
 public:
  /// Throws Invalid naming the file and what is wrong with it.
  BytePairEncoding(const std::filesystem::path& vocab_file, const std::filesystem::path& merges_file);

  std::optional<int64_t> find(const std::string& token) const;

  /// Appends the ids of one word (raw bytes). A byte that the vocabulary lacks becomes `unknown`.
  void encode(std::string_view word, int64_t unknown, std::vector<int64_t>& ids) const;

  /// The raw bytes that ids stand for, a space at each end of word.
  std::string decode(const std::vector<int64_t>& ids) const;

 private:
  struct Merge {
    int32_t rank;
    int64_t id;
  };
  static uint64_t pair_key(int64_t left, int64_t right) {
    return static_cast<uint64_t>(left) << 32 | static_cast<uint64_t>(right);
  }
  void read_vocab(const std::filesystem::path& file);
  void read_merges(const std::filesystem::path& file);

  std::unordered_map<std::string, int64_t> ids_;
  std::unordered_map<int64_t, std::string> tokens_;
  std::unordered_map<uint64_t, Merge> merges_;
};

}  // namespace flux
