#include "model/tokenizer/special_tokens.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "model/files/json_file.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

using nlohmann::json;

constexpr int64_t kMaxConfigBytes = 64u << 20;
constexpr int64_t kMaxTokenId = 1 << 24;

Invalid in_file(const std::filesystem::path& file, const std::string& what) {
  return Invalid(file.string() + ": " + what);
}

bool flag(const json& token, const char* name) {
  const auto found = token.find(name);
  return found != token.end() && found->is_boolean() && found->get<bool>();
}

/// The content of a token that the config gives as a string or as an object.
const json* content_of(const json& token) {
  if (token.is_string()) return &token;
  if (!token.is_object()) return nullptr;
  const auto found = token.find("content");
  return found != token.end() && found->is_string() ? &*found : nullptr;
}

}  // namespace

SpecialTokens::SpecialTokens(const std::filesystem::path& config_file, Roles roles, const FindId& vocabulary)
    : file_(config_file), roles_(std::move(roles)) {
  const json config = read_json_object(config_file, kMaxConfigBytes);
  if (const auto decoder = config.find("added_tokens_decoder"); decoder != config.end()) add_decoder(*decoder);
  add_roles(config, vocabulary);
  if (const auto extra = config.find("extra_ids"); extra != config.end()) {
    if (!extra->is_number_unsigned() || extra->get<uint64_t>() > 10'000) throw in_file(file_, "extra_ids is no count");
    extra_ids_ = extra->get<int64_t>();
  }
}

void SpecialTokens::add(SpecialToken token) {
  if (token.content.empty()) throw in_file(file_, "a special token is empty");
  if (token.id < 0 || token.id > kMaxTokenId)
    throw in_file(file_, "token \"" + token.content + "\" has a senseless id");
  tokens_.push_back(std::move(token));
}

void SpecialTokens::add_decoder(const json& decoder) {
  if (!decoder.is_object()) throw in_file(file_, "added_tokens_decoder is not an object");
  for (const auto& [key, token] : decoder.items()) {
    const json* content = content_of(token);
    const bool number = !key.empty() && key.size() < 9 &&
                        std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!number || !token.is_object() || !content)
      throw in_file(file_, "added_tokens_decoder: \"" + key + "\" is not a token");
    for (const char* field : {"lstrip", "rstrip", "single_word"}) {
      if (flag(token, field))
        throw in_file(file_, "added_tokens_decoder: \"" + key + "\": " + field + " is not implemented");
    }
    add({content->get<std::string>(), std::stoll(key), flag(token, "normalized")});
  }
}

void SpecialTokens::add_roles(const json& config, const FindId& vocabulary) {
  for (auto& [role, content] : roles_) {
    const json token = config.value(role, json());
    const json* named = content_of(token);
    if (!named && !token.is_null()) throw in_file(file_, role + " is neither a string nor a token");
    if (named) content = named->get<std::string>();
    if (find(content)) continue;
    const auto id = vocabulary(content);
    if (!id) throw in_file(file_, std::string(role).append(" \"").append(content) + "\" is not in the vocabulary");
    add({content, *id, token.is_object() && flag(token, "normalized")});
  }
}

void SpecialTokens::add_extra_ids(int64_t vocabulary_size) {
  for (int64_t i = 0; i < extra_ids_; ++i) {
    const std::string content = "<extra_id_" + std::to_string(i) + ">";
    if (!find(content)) add({content, vocabulary_size + extra_ids_ - 1 - i, false});
  }
}

const SpecialToken* SpecialTokens::find(std::string_view content) const {
  const auto found =
      std::find_if(tokens_.begin(), tokens_.end(), [&](const auto& token) { return token.content == content; });
  return found == tokens_.end() ? nullptr : &*found;
}

int64_t SpecialTokens::id(const std::string& role) const { return find(roles_.at(role))->id; }

void SpecialTokens::encode_around(std::string_view text, bool normalized, const Encode& encode,
                                  std::vector<int64_t>& ids) const {
  size_t begin = 0;
  const auto plain = [&](size_t end) {
    if (end > begin) encode(text.substr(begin, end - begin), ids);
  };
  for (size_t at = 0; at < text.size();) {
    const SpecialToken* longest = nullptr;
    for (const auto& token : tokens_) {
      const bool here = token.normalized == normalized && text.substr(at).starts_with(token.content);
      if (here && (!longest || token.content.size() > longest->content.size())) longest = &token;
    }
    if (!longest) {
      ++at;
      continue;
    }
    plain(at);
    ids.push_back(longest->id);
    begin = at += longest->content.size();
  }
  plain(text.size());
}

}  // namespace flux
