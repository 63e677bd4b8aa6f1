#include "runtime/journal.h"

#include <nlohmann/json.hpp>

#include <fstream>
#include <regex>

namespace flux {

Journal::Journal(const std::filesystem::path& folder)
    : file_(folder / kName, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC) {}

void Journal::append(std::string_view line) {
  file_.write_all(std::string(line) + "\n");
  file_.sync();
}

std::vector<std::string> journaled_pictures(const std::filesystem::path& folder) {
  static const std::regex ours("[0-9]{5,19}-[0-9]{1,20}\\.(png|jpg)");
  std::vector<std::string> files;
  std::ifstream journal(folder / Journal::kName);
  for (std::string line; std::getline(journal, line);) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    if (!json.is_object() || !json.contains("file") || !json["file"].is_string()) continue;
    const auto file = json["file"].get<std::string>();
    if (file.size() < 64 && std::regex_match(file, ours)) files.push_back(file);
  }
  return files;
}

}  // namespace flux
