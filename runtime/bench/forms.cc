#include "runtime/bench/forms.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

#include "runtime/json_line.h"

namespace flux {
namespace {

using Json = nlohmann::ordered_json;

/// A row's names beside those of the heading; where both have one, the row's value counts.
Json joined(const Json& heading, const Json& row) {
  Json result = heading;
  result.update(row);
  return result;
}

std::vector<std::string> columns_of(const std::vector<Json>& rows) {
  std::vector<std::string> columns;
  for (const Json& row : rows)
    for (const auto& [name, value] : row.items())
      if (std::ranges::find(columns, name) == columns.end()) columns.push_back(name);
  return columns;
}

std::string plain(const Json& value) {
  if (value.is_null()) return "";
  return value.is_string() ? value.get<std::string>() : json_line(value);
}

std::string csv_cell(const std::string& value) {
  if (value.find_first_of(",\"\r\n") == std::string::npos) return value;
  std::string result = "\"";
  for (const char one : value) result += one == '"' ? std::string("\"\"") : std::string(1, one);
  return result + '"';
}

/// Four digits at least: of large numbers the whole ones.
std::string cell(const Json& value) {
  if (value.is_number_float()) {
    const double number = value.get<double>();
    return std::abs(number) < 1000 ? fmt::format("{:.4g}", number) : fmt::format("{:.0f}", number);
  }
  std::string text;
  for (const char one : plain(value)) {
    if (one == '|') text += '\\';
    text += one == '\n' ? ' ' : one;
  }
  return text;
}

std::string table_line(const std::vector<std::string>& cells) {
  return fmt::format("| {} |\n", fmt::join(cells, " | "));
}

}  // namespace

std::string as_markdown(const Json& heading, const std::vector<Json>& rows) {
  std::vector<std::string> said;
  for (const auto& [name, value] : heading.items())
    if (!plain(value).empty()) said.push_back(fmt::format("{} {}", name, cell(value)));
  const std::vector<std::string> columns = columns_of(rows);
  std::string text = fmt::format("{}\n\n", fmt::join(said, ", "));
  text += table_line(columns) + table_line(std::vector<std::string>(columns.size(), "---"));
  for (const Json& row : rows) {
    std::vector<std::string> cells;
    for (const std::string& column : columns) cells.push_back(row.contains(column) ? cell(row[column]) : "");
    text += table_line(cells);
  }
  return text;
}

std::string as_csv(const Json& heading, const std::vector<Json>& rows) {
  std::vector<Json> whole;
  for (const Json& row : rows) whole.push_back(joined(heading, row));
  const std::vector<std::string> columns = columns_of(whole);
  std::string text = fmt::format("{}\n", fmt::join(columns, ","));
  for (const Json& row : whole) {
    std::vector<std::string> cells;
    for (const std::string& column : columns) cells.push_back(row.contains(column) ? csv_cell(plain(row[column])) : "");
    text += fmt::format("{}\n", fmt::join(cells, ","));
  }
  return text;
}

std::string as_json_lines(const Json& heading, const std::vector<Json>& rows) {
  std::string text;
  for (const Json& row : rows) text += json_line(joined(heading, row)) + '\n';
  return text;
}

}  // namespace flux
