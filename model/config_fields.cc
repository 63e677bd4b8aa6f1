#include "model/config_fields.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "model/files/json_file.h"
#include "model/files/printable.h"
#include "parallel/rank/errors.h"

namespace flux {

using nlohmann::json;

ConfigFields::ConfigFields(const std::filesystem::path& file)
    : file_(file.string()), json_(std::make_shared<json>(read_json_object(file))) {}

ConfigFields::ConfigFields(std::string where, std::shared_ptr<const json> fields)
    : file_(std::move(where)), json_(std::move(fields)) {}

ConfigFields ConfigFields::object(const char* field) const {
  const json* value = find(field);
  if (value == nullptr || !value->is_object()) fail(field, "must be an object");
  return {file_ + ": " + field, std::shared_ptr<const json>(json_, value)};
}

void ConfigFields::fail(const std::string& field, const std::string& what) const {
  throw Invalid(file_ + ": " + field + ": " + what);
}

const json* ConfigFields::find(const char* field) const {
  const auto found = json_->find(field);
  return found == json_->end() || found->is_null() ? nullptr : &*found;
}

bool ConfigFields::has(const char* field) const { return find(field) != nullptr; }

int64_t ConfigFields::checked_size(const char* field, const json& value, int64_t least, int64_t most) const {
  // As a double first: numbers past 64 bits arrive as one.
  const bool fits = value.is_number_integer() && value.get<double>() >= static_cast<double>(least) &&
                    value.get<double>() <= static_cast<double>(most);
  if (!fits) fail(field, "must be a whole number from " + std::to_string(least) + " to " + std::to_string(most));
  return value.get<int64_t>();
}

int64_t ConfigFields::size(const char* field, int64_t fallback, int64_t most) const {
  return size(field, fallback, 1, most);
}

int64_t ConfigFields::size(const char* field, int64_t fallback, int64_t least, int64_t most) const {
  const json* value = find(field);
  return value == nullptr ? fallback : checked_size(field, *value, least, most);
}

double ConfigFields::required_number(const char* field) const {
  const json* value = find(field);
  if (value == nullptr) fail(field, "is missing");
  // Arithmetic is fp32: what it cannot hold would become infinite on the way.
  const bool fits = value->is_number() && std::abs(value->get<double>()) <= std::numeric_limits<float>::max();
  if (!fits) fail(field, "must be a finite number that fp32 holds");
  return value->get<double>();
}

double ConfigFields::number(const char* field, double fallback) const {
  return has(field) ? required_number(field) : fallback;
}

double ConfigFields::positive(const char* field, double fallback) const {
  const double value = number(field, fallback);
  if (static_cast<float>(value) <= 0) fail(field, "must be positive, also in fp32");
  return value;
}

bool ConfigFields::flag(const char* field, bool fallback) const {
  const json* value = find(field);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) fail(field, "must be true or false");
  return value->get<bool>();
}

std::string ConfigFields::text(const char* field, const std::string& fallback) const {
  const json* value = find(field);
  if (value == nullptr) return fallback;
  if (!value->is_string()) fail(field, "must be a string");
  return value->get<std::string>();
}

std::vector<int64_t> ConfigFields::sizes(const char* field, const std::vector<int64_t>& fallback) const {
  constexpr size_t longest = 16;
  const json* value = find(field);
  if (value == nullptr) return fallback;
  if (!value->is_array() || value->empty() || value->size() > longest) fail(field, "must be a short list of sizes");
  std::vector<int64_t> sizes;
  sizes.reserve(value->size());
  for (const json& size : *value) sizes.push_back(checked_size(field, size, 1, 1 << 20));
  return sizes;
}

std::vector<std::string> ConfigFields::texts(const char* field, const std::vector<std::string>& fallback) const {
  const json* value = find(field);
  if (value == nullptr) return fallback;
  const bool strings = value->is_array() && std::all_of(value->begin(), value->end(), [](const json& text) {
                         return text.is_string() || text.is_null();
                       });
  if (!strings) fail(field, "must be a list of strings");
  std::vector<std::string> texts;
  texts.reserve(value->size());
  for (const json& text : *value) texts.push_back(text.is_null() ? "null" : text.get<std::string>());
  return texts;
}

std::string ConfigFields::one_of(const char* field, std::initializer_list<const char*> implemented) const {
  const std::string value = text(field, *implemented.begin());
  if (std::find(implemented.begin(), implemented.end(), value) != implemented.end()) return value;
  std::string list;
  for (const char* name : implemented) list += (list.empty() ? "" : ", ") + std::string(name);
  fail(field, quoted_name(value) + " is not implemented (" + list + ")");
}

void ConfigFields::must_be(const char* field, bool implemented) const {
  if (flag(field, implemented) != implemented) {
    fail(field, std::string(implemented ? "false" : "true") + " is not implemented");
  }
}

}  // namespace flux
