#pragma once

#include <nlohmann/json_fwd.hpp>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/tokenizer/tokenizer_folder.h"

namespace flux {

/// A token that is found as written in the text, before (or, `normalized`, after) the text is normalised.
struct SpecialToken {
  std::string content;
  int64_t id;
  bool normalized;
};

/// The special tokens of a folder, as transformers gathers them: the added tokens (added_tokens_decoder of
/// tokenizer_config.json, otherwise added_tokens of tokenizer.json), the *_token fields, and the extra ones.
class SpecialTokens {
 public:
  using Encode = std::function<void(std::string_view text, std::vector<int64_t>& ids)>;
  using Roles = std::map<std::string, std::string>;  // "eos_token" to the token's content

  /// Ids of what the model knows itself. A token that it does not know gets the next id past `size`.
  struct Known {
    std::function<std::optional<int64_t>(const std::string& content)> find;
    int64_t size;
    std::function<std::string(std::string_view text)> normalise{};  // none: no token is looked for after that
  };

  /// `roles`: the tokens of roles that the config does not name; `extra`: the extra tokens where the config lists none.
  /// Throws Invalid naming file and field.
  SpecialTokens(const TokenizerFolder& folder, Roles roles, const std::vector<std::string>& extra, Known known);

  int64_t id(const std::string& role) const;
  const std::string& content(const std::string& role) const { return roles_.at(role); }

  /// What a tokenizer.json that was used before it was saved says under `padding`.
  nlohmann::json padding() const;

  /// Appends the ids of `text`: those of the longest special tokens of one kind, from left to right, and what `encode`
  /// appends for the text between them, where there is any.
  void encode_around(std::string_view text, bool normalized, const Encode& encode, std::vector<int64_t>& ids) const;

 private:
  struct Added {
    std::optional<int64_t> id;  // that the file gives it
    const nlohmann::json* token;
  };
  void add_all(std::vector<Added> tokens, const std::string& where);
  void add(const std::string& content, bool normalized, std::optional<int64_t> id, const std::string& where);
  void add_roles(const TokenizerFolder& folder);
  const SpecialToken* longest_at(std::string_view text, bool normalized) const;

  Known known_;
  Roles roles_;
  std::unordered_map<std::string, int64_t> ids_;
  std::array<std::vector<SpecialToken>, 256> by_first_byte_;  // the longest first
};

}  // namespace flux
