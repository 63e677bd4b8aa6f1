#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

namespace flux {

/// The fields of a config.json. Absent or null fields get the default of diffusers or transformers; every complaint is
/// an Invalid that names file and field.
class ConfigFields {
 public:
  explicit ConfigFields(const std::filesystem::path& file);

  int64_t size(const char* field, int64_t fallback, int64_t most = 1 << 20) const;  // 1 ... most
  int64_t size(const char* field, int64_t fallback, int64_t least, int64_t most) const;
  double number(const char* field, double fallback) const;
  double positive(const char* field, double fallback) const;
  double required_number(const char* field) const;
  bool flag(const char* field, bool fallback) const;
  std::string text(const char* field, const std::string& fallback) const;
  std::vector<int64_t> sizes(const char* field, const std::vector<int64_t>& fallback) const;
  std::vector<std::string> texts(const char* field, const std::vector<std::string>& fallback) const;
  ConfigFields object(const char* field) const;
  bool has(const char* field) const;  // present and not null

  /// The field, one of `implemented`, the first of which is the default.
  std::string one_of(const char* field, std::initializer_list<const char*> implemented) const;
  void must_be(const char* field, bool implemented) const;

  [[noreturn]] void fail(const std::string& field, const std::string& what) const;

 private:
  ConfigFields(std::string where, std::shared_ptr<const nlohmann::json> fields);

  const nlohmann::json* find(const char* field) const;
  int64_t checked_size(const char* field, const nlohmann::json& value, int64_t least, int64_t most) const;

  std::string file_;
  std::shared_ptr<const nlohmann::json> json_;
};

}  // namespace flux
