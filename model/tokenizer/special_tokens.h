#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace flux {

/// A token that is found as written in the text, before (or, `normalized`, after) the text is normalised.
struct SpecialToken {
  std::string content;
  int64_t id;
  bool normalized;
};

/// The special tokens of a tokenizer_config.json (transformers: added_tokens_decoder and the *_token fields).
class SpecialTokens {
 public:
  using FindId = std::function<std::optional<int64_t>(const std::string& content)>;
  using Encode = std::function<void(std::string_view text, std::vector<int64_t>& ids)>;
  using Roles = std::map<std::string, std::string>;  // "eos_token" to the token's content

  /// `roles`: the tokens of roles that the config does not name. `vocabulary` gives ids of tokens that the config
  /// names without an id. Throws Invalid naming file and field.
  SpecialTokens(const std::filesystem::path& config_file, Roles roles, const FindId& vocabulary);

  int64_t id(const std::string& role) const;

  /// T5's sentinels <extra_id_0> ... (`extra_ids` of the config, absent: 100), which end at the id after the
  /// vocabulary's last plus their number, the highest first; those that the config lists keep their ids.
  void add_extra_ids(int64_t vocabulary_size);

  /// Appends the ids of `text`: those of the longest special tokens of one kind, from left to right, and what `encode`
  /// appends for the text between them, where there is any.
  void encode_around(std::string_view text, bool normalized, const Encode& encode, std::vector<int64_t>& ids) const;

 private:
  const SpecialToken* find(std::string_view content) const;
  void add(SpecialToken token);
  void add_decoder(const nlohmann::json& decoder);
  void add_roles(const nlohmann::json& config, const FindId& vocabulary);

  std::filesystem::path file_;
  std::vector<SpecialToken> tokens_;
  Roles roles_;
  int64_t extra_ids_ = 100;
};

}  // namespace flux
