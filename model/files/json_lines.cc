#include "model/files/json_lines.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <string_view>

#include "model/files/json_file.h"
#include "model/files/readable_file.h"

namespace flux {

int64_t each_json_line(const std::filesystem::path& file, int64_t limit,
                       const std::function<void(const std::string& where, nlohmann::json json)>& visit) {
  const std::string bytes = read_whole_file(file, limit);
  int64_t number = 0, lines = 0;
  for (std::string_view rest = bytes; !rest.empty();) {
    const std::string_view text = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(text.size() + 1, rest.size()));
    ++number;
    if (text.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = fmt::format("{}:{}", file.string(), number);
    visit(where, parse_json_object(text, where));
    ++lines;
  }
  return lines;
}

}  // namespace flux
