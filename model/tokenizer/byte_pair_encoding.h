#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace flux {

/// CLIP's byte-level byte-pair encoding: a vocabulary and the merges of two of its tokens, words end with `</w>`.
/// Neural Machine Translation of Rare Words with Subword Units (Sennrich et al.); tokenizers' models::BPE.
class BytePairEncoding {
 public:
  /// Of vocab.json and merges.txt. Throws Invalid naming the file and what is wrong with it.
  BytePairEncoding(const std::filesystem::path& vocab_file, const std::filesystem::path& merges_file);

  /// Of `model` of a tokenizer.json.
  BytePairEncoding(const nlohmann::json& model, const std::string& file);

  std::optional<int64_t> find(std::string_view token) const;
  int64_t size() const { return static_cast<int64_t>(ids_.size()); }

  /// Appends the ids of one word (raw bytes). A byte that the vocabulary lacks becomes `unknown`.
  void encode(std::string_view word, int64_t unknown, std::vector<int64_t>& ids) const;

  /// The raw bytes that ids stand for, a space at each end of word.
  std::string decode(const std::vector<int64_t>& ids) const;

 private:
  struct Merge {
    int32_t rank;
    int64_t id;
  };
  void read_vocab(const nlohmann::json& vocab, const std::string& file);
  void read_merges(const std::filesystem::path& file);
  void add_merge(std::string_view left, std::string_view right, const std::string& where);

  // Ordered: what a file holds cannot make them slow, as keys that collide can make a hash table.
  std::map<std::string, int64_t, std::less<>> ids_;
  std::map<int64_t, std::string> tokens_;
  std::map<std::pair<int64_t, int64_t>, Merge> merges_;
  int32_t merges_read_ = 0;  // the next merge's rank
};

}  // namespace flux
