#include "model/files/json_file.h"

#include <nlohmann/json.hpp>

#include <set>
#include <vector>

#include "model/files/printable.h"
#include "model/files/readable_file.h"
#include "parallel/rank/errors.h"

namespace flux {

nlohmann::json parse_json_object(std::string_view text, const std::string& file) {
  using nlohmann::json;
  constexpr int deepest = 16;
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  const auto check = [&](int depth, json::parse_event_t event, json& value) {
    if (depth > deepest) throw Invalid(file + ": JSON nested deeper than " + std::to_string(deepest) + " levels");
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second) {
      throw Invalid(file + ": key " + quoted_name(value.get<std::string>()) + " twice in one JSON object");
    }
    return true;
  };
  try {
    json value = json::parse(text, check);
    if (!value.is_object()) throw Invalid(file + ": is not a JSON object");
    return value;
  } catch (const json::parse_error& error) {
    throw Invalid(file + ": not valid JSON at byte " + std::to_string(error.byte));
  } catch (const json::exception&) {
    throw Invalid(file + ": holds a number that does not fit");
  }
}

nlohmann::json read_json_object(const std::filesystem::path& path, int64_t limit) {
  return parse_json_object(read_whole_file(path, limit), path.string());
}

}  // namespace flux
