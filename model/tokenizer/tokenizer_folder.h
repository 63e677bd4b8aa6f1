#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace flux {

/// Of a tokenizer's files in text; a longer one is refused before it is read.
inline constexpr int64_t kMaxTokenizerFileBytes = 64 << 20;

/// The content of a token that a file gives as a string or as an object; null when it is neither.
const nlohmann::json* token_content(const nlohmann::json& token);

/// The folder of one tokenizer as transformers reads it: tokenizer_config.json, and tokenizer.json, which counts before
/// the older files (vocab.json and merges.txt, spiece.model) where it is there. Where the config lists no tokens
/// (added_tokens_decoder), special_tokens_map.json counts before it, and without tokenizer.json added_tokens.json lists
/// them.
class TokenizerFolder {
 public:
  /// Throws Invalid naming file and field: not JSON, or asking for what is not implemented for any tokenizer.
  explicit TokenizerFolder(const std::filesystem::path& folder);

  static bool has_tokenizer_json(const std::filesystem::path& folder);

  /// Of tokenizer_config.json; null where it says nothing.
  const nlohmann::json& config(const std::string& field) const;
  /// "FILE: FIELD" of that, for messages.
  std::string where(const std::string& field) const;
  /// Of tokenizer.json; null where it says nothing.
  const nlohmann::json& tokenizer(const std::string& field) const;

  bool has_tokenizer_json() const { return !tokenizer_.is_null(); }
  std::filesystem::path file(const std::string& name) const { return folder_ / name; }
  std::string config_file() const { return file("tokenizer_config.json").string(); }
  std::string tokenizer_file() const { return file("tokenizer.json").string(); }

  /// Throws Invalid naming the first difference unless tokenizer.json says under `field` what one of `forms` says, or
  /// nothing. Null in a form stands for anything; what the file leaves out of an object has its usual value.
  void expect(const std::string& field, const std::vector<nlohmann::json>& forms) const;

 private:
  void add_special_tokens_map();
  void add_added_tokens();

  std::filesystem::path folder_;
  nlohmann::json config_, tokenizer_;
  std::map<std::string, std::string> older_;  // fields of config_ that an older file says, and its name
};

}  // namespace flux
