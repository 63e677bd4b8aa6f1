#include "model/files/json_lines.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <string_view>

#include "model/files/json_file.h"
#include "model/files/readable_file.h"
#include "model/files/text_lines.h"

namespace flux {

int64_t each_json_line(const std::filesystem::path& file, int64_t limit,
                       const std::function<void(const std::string& where, nlohmann::json json)>& visit) {
  const std::string bytes = read_whole_file(file, limit);
  int64_t lines = 0;
  each_text_line(bytes, [&](int64_t number, std::string_view text) {
    if (text.find_first_not_of(" \t\r") == std::string_view::npos) return;
    const std::string where = fmt::format("{}:{}", file.string(), number);
    visit(where, parse_json_object(text, where));
    ++lines;
  });
  return lines;
}

}  // namespace flux
