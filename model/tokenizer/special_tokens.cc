#include "model/tokenizer/special_tokens.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "model/files/printable.h"
#include "model/tokenizer/tokenizer.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

using nlohmann::json;
using namespace nlohmann::literals;

constexpr size_t kMostTokens = 10'000;

bool flag(const json& token, const char* name) {
  const auto found = token.find(name);
  return found != token.end() && found->is_boolean() && found->get<bool>();
}

std::optional<int64_t> token_id(const std::string& digits) {
  const bool number = !digits.empty() && digits.size() < 9 &&
                      std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
  return number ? std::optional<int64_t>(std::stoll(digits)) : std::nullopt;
}

std::optional<int64_t> token_id(const json& id) {
  return id.is_number_unsigned() && id.get<uint64_t>() <= kMaxTokenId ? std::optional(id.get<int64_t>()) : std::nullopt;
}

/// The tokens of a list, or of an object that names them.
std::vector<const json*> listed(const json& list, const std::string& where) {
  if (!list.is_array() && !list.is_object()) throw Invalid(where + ": is no list of tokens");
  std::vector<const json*> tokens;
  for (const json& token : list) tokens.push_back(&token);
  return tokens;
}

}  // namespace

SpecialTokens::SpecialTokens(const TokenizerFolder& folder, Roles roles, const std::vector<std::string>& extra,
                             Known known)
    : known_(std::move(known)), roles_(std::move(roles)) {
  std::vector<Added> added;
  if (const json& decoder = folder.config("added_tokens_decoder"); !decoder.is_null()) {
    const std::string where = folder.where("added_tokens_decoder");
    if (!decoder.is_object()) throw Invalid(where + " is not an object");
    for (const auto& [key, token] : decoder.items()) {
      const auto id = token_id(key);
      if (!id || !token.is_object()) throw Invalid(where + ": " + quoted_name(key) + " is not a token");
      added.push_back({id, &token});
    }
    add_all(added, where);
  } else if (const json& tokens = folder.tokenizer("added_tokens"); !tokens.is_null()) {
    const std::string where = folder.tokenizer_file() + ": added_tokens";
    for (const json* token : listed(tokens, where)) {
      const auto id = token->is_object() && token->contains("id") ? token_id((*token)["id"]) : std::nullopt;
      if (!id) throw Invalid(where + ": token " + std::to_string(added.size()) + " has no id");
      added.push_back({id, token});
    }
    add_all(added, where);
  }
  add_roles(folder);
  bool lists_extra = false;
  for (const char* field : {"extra_special_tokens", "additional_special_tokens"}) {
    const json& list = folder.config(field);
    if (list.is_null()) continue;
    lists_extra = true;
    const std::string where = folder.where(field);
    std::vector<Added> more;
    for (const json* token : listed(list, where)) more.push_back({std::nullopt, token});
    add_all(more, where);
  }
  if (lists_extra) return;
  for (const auto& content : extra) add(content, false, std::nullopt, folder.config_file());
}

void SpecialTokens::add_all(std::vector<Added> tokens, const std::string& where) {
  std::ranges::stable_sort(tokens, {}, &Added::id);
  for (const auto& [id, token] : tokens) {
    const json* content = token_content(*token);
    const std::string name = content ? quoted_name(content->get<std::string>()) : "one";
    if (!content) throw Invalid(fmt::format("{}: {} is not a token", where, name));
    for (const char* field : {"lstrip", "rstrip", "single_word"}) {
      if (flag(*token, field)) throw Invalid(fmt::format("{}: {}: {} is not implemented", where, name, field));
    }
    if (!known_.normalise && flag(*token, "normalized"))
      throw Invalid(fmt::format("{}: {}: normalized is not implemented for T5", where, name));
    add(content->get<std::string>(), flag(*token, "normalized"), id, where);
  }
}

void SpecialTokens::add(const std::string& content, bool normalized, std::optional<int64_t> id,
                        const std::string& where) {
  if (content.empty()) throw Invalid(where + ": a special token is empty");
  if (ids_.contains(content)) return;
  if (ids_.size() == kMostTokens) throw Invalid(where + ": more special tokens than are accepted");
  const auto known = known_.find(content);
  const int64_t given = known ? *known : known_.size++;
  if (id && *id != given) {
    throw Invalid(where + ": token " + quoted_name(content) + " has the id " + std::to_string(*id) +
                  ", but the vocabulary gives it " + std::to_string(given));
  }
  ids_[content] = given;
  const std::string sought = normalized && known_.normalise ? known_.normalise(content) : content;
  auto& tokens = by_first_byte_[static_cast<uint8_t>(sought.front())];
  const auto shorter = std::find_if(tokens.begin(), tokens.end(),
                                    [&](const auto& token) { return token.content.size() < sought.size(); });
  tokens.insert(shorter, {sought, given, normalized});
}

void SpecialTokens::add_roles(const TokenizerFolder& folder) {
  for (auto& [role, content] : roles_) {
    const std::string where = folder.where(role);
    const json& token = folder.config(role);
    const json* named = token_content(token);
    if (!named && !token.is_null()) throw Invalid(where + " is neither a string nor a token");
    if (named) content = named->get<std::string>();
    if (ids_.contains(content)) continue;
    if (!known_.find(content)) throw Invalid(where + " " + quoted_name(content) + " is not in the vocabulary");
    add(content, token.is_object() && flag(token, "normalized"), std::nullopt, where);
  }
}

int64_t SpecialTokens::id(const std::string& role) const { return ids_.at(roles_.at(role)); }

json SpecialTokens::padding() const {
  json padding = R"({"strategy": null, "direction": "Right", "pad_to_multiple_of": null, "pad_type_id": null})"_json;
  padding["pad_id"] = id("pad_token");
  padding["pad_token"] = content("pad_token");
  return padding;
}

const SpecialToken* SpecialTokens::longest_at(std::string_view text, bool normalized) const {
  for (const auto& token : by_first_byte_[static_cast<uint8_t>(text.front())]) {
    if (token.normalized == normalized && text.starts_with(token.content)) return &token;
  }
  return nullptr;
}

void SpecialTokens::encode_around(std::string_view text, bool normalized, const Encode& encode,
                                  std::vector<int64_t>& ids) const {
  size_t begin = 0;
  const auto plain = [&](size_t end) {
    if (end > begin) encode(text.substr(begin, end - begin), ids);
  };
  for (size_t at = 0; at < text.size();) {
    const SpecialToken* token = longest_at(text.substr(at), normalized);
    if (!token) {
      ++at;
      continue;
    }
    plain(at);
    ids.push_back(token->id);
    begin = at += token->content.size();
  }
  plain(text.size());
}

}  // namespace flux
