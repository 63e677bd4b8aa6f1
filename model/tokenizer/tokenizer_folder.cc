#include "model/tokenizer/tokenizer_folder.h"

#include <fmt/format.h>

#include <optional>

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

TokenizerFolder::TokenizerFolder(const std::filesystem::path& folder)
    : folder_(folder), config_(read_json_object(config_file(), kMaxTokenizerFileBytes)) {
  for (const auto& [name, value] : {std::pair<const char*, json>{"padding_side", "right"},
                                    {"truncation_side", "right"},
                                    {"split_special_tokens", false}}) {
    if (config_.contains(name) && config_[name] != value) {
      throw Invalid(config_file() + ": " + name + ": only " + value.dump() + " is implemented");
    }
  }
  if (!has_tokenizer_json(folder)) return;
  tokenizer_ = read_json_object(tokenizer_file(), kMaxTokenizerFileBytes);
  expect("truncation", {R"({"direction": "Right", "max_length": null, "strategy": null, "stride": null})"_json});
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
