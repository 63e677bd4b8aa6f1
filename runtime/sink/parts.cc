#include "runtime/sink/parts.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "model/files/json_file.h"
#include "model/files/printable.h"
#include "model/files/readable_file.h"
#include "parallel/rank/errors.h"
#include "runtime/journal_reader.h"
#include "runtime/sink/descriptor.h"
#include "runtime/sink/gallery.h"
#include "runtime/sink/new_file.h"

namespace flux {
namespace {

namespace fs = std::filesystem;
using Parsed = nlohmann::json;

/// What the gallery shows of a `done` line.
Record record_of_line(const Parsed& json, const std::string& part) {
  Record record;
  record.picture = static_cast<int64_t>(count_of(json, "index"));
  record.error = json.value("error", "");
  const std::string file = json.value("file", "");
  if (is_picture_name(file)) record.file = part + "/" + file;
  if (!json.contains("prompt")) return record;
  record.prompt.emplace();
  record.prompt->prompt = json.value("prompt", "");
  record.prompt->num_inference_steps = static_cast<int64_t>(count_of(json, "num_inference_steps"));
  record.prompt->guidance_scale = json.value("guidance_scale", 0.0);
  record.prompt->picture.height = static_cast<int64_t>(count_of(json, "height"));
  record.prompt->picture.width = static_cast<int64_t>(count_of(json, "width"));
  record.prompt->picture.seed = count_of(json, "seed");
  return record;
}

/// The last word on each picture. A line that is cut off, or none of ours, is left out.
void add_part(const fs::path& folder, std::map<int64_t, Record>& records) {
  const std::string part = folder.filename().string();
  for_each_line(folder / kJournalName, [&](const JournalLine& line) {
    try {
      const Parsed json = parse_json_object(line.text, kJournalName);
      if (json.value("event", "") != "done") return;
      Record record = record_of_line(json, part);
      if (record.drawn() && record.file.empty()) return;
      records[record.picture] = std::move(record);
    } catch (const Invalid&) {
      return;
    } catch (const Parsed::exception&) {  // a value of another type
      return;
    }
  });
}

}  // namespace

void require_room_for_parts(const fs::path& folder, int64_t parts) {
  const auto refuse = [&](const std::string& what) {
    throw Invalid(
        fmt::format("--output-dir {} holds {}: name another folder for {} parts", folder.string(), what, parts));
  };
  if (present(folder / kJournalName)) refuse("a run of its own");
  const std::string tail = fmt::format("-of-{}", parts);
  std::error_code unreadable;
  for (const auto& entry : fs::directory_iterator(folder, unreadable)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("part-") && !name.ends_with(tail)) refuse(printable_line(name, 40));
  }
}

void write_gallery_of_parts(const fs::path& folder, int64_t parts, const RunFacts& facts) {
  const Descriptor turn(folder / ".gallery", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC);
  turn.wait_for_turn();
  std::map<int64_t, Record> by_picture;
  for (int64_t number = 1; number <= parts; ++number) add_part(folder / part_name({number, parts}), by_picture);
  std::vector<Record> records;
  for (auto& [picture, record] : by_picture) records.push_back(std::move(record));
  write_new_file(folder / kGalleryName, gallery(records, facts));
}

}  // namespace flux
