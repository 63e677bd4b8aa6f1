#include "model/tokenizer/tokenizer_folder.h"

#include <fmt/format.h>

#include <optional>
#include <set>

#include "model/files/json_file.h"
#include "model/files/printable.h"
#include "model/files/readable_file.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

using nlohmann::json;
using namespace nlohmann::literals;

const json& field_of(const json& object, const std::string& name) {
  static const json none;
  const auto found = object.find(name);
  return found == object.end() ? none : *found;
}

/// Where `found` first says something else than `form`, and what.
std::optional<std::string> difference(const std::string& name, const json& found, const json& form) {
  if (form.is_null() || found.is_null()) return std::nullopt;
  if (found.is_object() && form.is_object()) {
    for (const auto& [key, value] : found.items()) {
      const auto known = form.find(key);
      if (known == form.end()) return fmt::format("{}: has {}, which is not implemented", name, quoted_name(key));
      if (auto inner = difference(fmt::format("{}.{}", name, key), value, *known)) return inner;
    }
    return std::nullopt;
  }
  if (found.is_array() && form.is_array() && found.size() == form.size()) {
    for (size_t i = 0; i < found.size(); ++i) {
      if (auto inner = difference(name + "[" + std::to_string(i) + "]", found[i], form[i])) return inner;
    }
    return std::nullopt;
  }
  if (found == form) return std::nullopt;
  if (found.is_structured() || form.is_structured()) return name + ": is not as FLUX.1's tokenizer has it";
  return name + ": is " + quoted_name(found.dump()) + ", only " + quoted_name(form.dump()) + " is implemented";
}

}  // namespace

const json* token_content(const json& token) {
  if (token.is_string()) return &token;
  if (!token.is_object()) return nullptr;
  const json& content = field_of(token, "content");
  return content.is_string() ? &content : nullptr;
}

TokenizerFolder::TokenizerFolder(const std::filesystem::path& folder)
    : folder_(folder), config_(read_json_object(config_file(), kMaxTokenizerFileBytes)) {
  for (const auto& [name, value] : {std::pair<const char*, json>{"padding_side", "right"},
                                    {"truncation_side", "right"},
                                    {"split_special_tokens", false}}) {
    if (config_.contains(name) && config_[name] != value) {
      throw Invalid(config_file() + ": " + name + ": only " + value.dump() + " is implemented");
    }
  }
  if (!config_.contains("added_tokens_decoder")) {
    add_special_tokens_map();
    if (!has_tokenizer_json(folder)) add_added_tokens();
  }
  if (!has_tokenizer_json(folder)) return;
  tokenizer_ = read_json_object(tokenizer_file(), kMaxTokenizerFileBytes);
  expect("truncation", {R"({"direction": "Right", "max_length": null, "strategy": null, "stride": null})"_json});
}

void TokenizerFolder::add_special_tokens_map() {
  const char* name = "special_tokens_map.json";
  if (!present(file(name))) return;
  const json map = read_json_object(file(name), kMaxTokenizerFileBytes);
  // The config's own name for them is the older one, and counts as the newer where the map is read.
  if (config("extra_special_tokens").is_null() && config_.contains("additional_special_tokens"))
    config_["extra_special_tokens"] = config_["additional_special_tokens"];
  for (const auto& [field, value] : map.items()) {
    config_[field] = value;
    older_[field] = name;
  }
}

/// A token is found before the text is normalised where it is special: where a role or a list names it.
void TokenizerFolder::add_added_tokens() {
  const char* name = "added_tokens.json";
  if (!present(file(name))) return;
  std::set<std::string> special;
  const auto note = [&](const json& token) {
    if (const json* content = token_content(token)) special.insert(content->get<std::string>());
  };
  for (const char* role : {"bos", "eos", "unk", "sep", "pad", "cls", "mask"})
    note(config(std::string(role) + "_token"));
  if (const json& extra = config("extra_special_tokens"); extra.is_array())
    for (const json& token : extra) note(token);
  json decoder = json::object();
  const json added = read_json_object(file(name), kMaxTokenizerFileBytes);
  for (const auto& [content, id] : added.items()) {
    if (!id.is_number_unsigned()) throw Invalid(file(name).string() + ": " + quoted_name(content) + " has no id");
    decoder[std::to_string(id.get<uint64_t>())] = {{"content", content}, {"normalized", !special.contains(content)}};
  }
  config_["added_tokens_decoder"] = decoder;
  older_["added_tokens_decoder"] = name;
}

std::string TokenizerFolder::where(const std::string& field) const {
  const auto older = older_.find(field);
  if (older == older_.end()) return config_file() + ": " + field;
  return file(older->second).string() + (field == "added_tokens_decoder" ? "" : ": " + field);
}

bool TokenizerFolder::has_tokenizer_json(const std::filesystem::path& folder) {
  return present(folder / "tokenizer.json");
}

const json& TokenizerFolder::config(const std::string& field) const { return field_of(config_, field); }
const json& TokenizerFolder::tokenizer(const std::string& field) const { return field_of(tokenizer_, field); }

void TokenizerFolder::expect(const std::string& field, const std::vector<json>& forms) const {
  if (tokenizer(field).is_null()) return;  // transformers' classes then do what they always do
  std::string first;
  for (const json& form : forms) {
    const auto differs = difference(field, tokenizer(field), form);
    if (!differs) return;
    if (first.empty()) first = *differs;
  }
  throw Invalid(tokenizer_file() + ": " + first);
}

}  // namespace flux
