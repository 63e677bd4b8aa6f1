#include "runtime/journal_reader.h"

#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "model/files/json_file.h"
#include "model/files/printable.h"
#include "model/files/readable_file.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

constexpr int64_t kBlock = 1 << 20;         // bytes read at once
constexpr size_t kLongestLine = 64u << 20;  // bytes; what is longer is no line of ours

bool digits(std::string_view text, size_t least, size_t most) {
  return text.size() >= least && text.size() <= most &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
}

class Pictures {
 public:
  void add_line(std::string_view line) {
    nlohmann::json json;
    try {
      json = parse_json_object(line, kJournalName);
    } catch (const Invalid&) {  // cut off, or not ours
      return;
    }
    if (const auto file = json.find("file"); file != json.end()) add(*file);
    const auto files = json.find("files");
    if (files == json.end() || !files->is_array()) return;
    for (const auto& file : *files) add(file);
  }

  std::vector<std::string> take() { return std::move(names_); }

 private:
  void add(const nlohmann::json& file) {
    if (!file.is_string() || !is_picture_name(file.get_ref<const std::string&>())) return;
    if (known_.insert(file.get<std::string>()).second) names_.push_back(file.get<std::string>());
  }

  std::vector<std::string> names_;
  std::set<std::string> known_;
};

}  // namespace

void for_each_line(const std::filesystem::path& journal, const std::function<void(const JournalLine&)>& take) {
  struct stat there{};
  if (::lstat(journal.c_str(), &there) != 0) return;
  const ReadableFile file(journal);
  JournalLine line;
  std::string text, block;
  for (int64_t offset = 0; offset < file.size(); offset += kBlock) {
    block.resize(static_cast<size_t>(std::min(kBlock, file.size() - offset)));
    file.read(offset, block.data(), static_cast<int64_t>(block.size()));
    for (size_t begin = 0; begin < block.size();) {
      const size_t end = std::min(block.find('\n', begin), block.size());
      if (text.size() <= kLongestLine) text.append(block, begin, end - begin);
      begin = end + 1;
      if (end == block.size()) continue;
      line.text = text;
      take(line);
      ++line.number;
      line.offset = offset + static_cast<int64_t>(begin);
      text.clear();
    }
  }
  if (line.offset == file.size()) return;
  line.text = text;
  line.whole = false;
  take(line);
}

uint64_t count_of(const nlohmann::json& line, const char* name) {
  const auto count = line.find(name);
  if (count == line.end() || !count->is_number_unsigned())
    throw Invalid(std::string("its \"") + name + "\" is no count");
  return count->get<uint64_t>();
}

bool is_picture_name(std::string_view name) {
  const size_t dash = name.find('-'), dot = name.rfind('.');
  if (dash == name.npos || dot == name.npos || dot < dash) return false;
  const std::string_view kind = name.substr(dot), behind = name.substr(dash + 1, dot - dash - 1);
  const size_t next = behind.find('-');
  return digits(name.substr(0, dash), 5, 19) && digits(behind.substr(0, next), 1, 20) &&
         (next == behind.npos || is_id(behind.substr(next + 1))) && (kind == ".png" || kind == ".jpg");
}

std::vector<std::string> journaled_pictures(const std::filesystem::path& journal) {
  Pictures pictures;
  for_each_line(journal, [&](const JournalLine& line) { pictures.add_line(line.text); });
  return pictures.take();
}

}  // namespace flux
