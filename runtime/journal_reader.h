#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace flux {

inline constexpr const char* kJournalName = "journal.jsonl";

/// A line of a journal without its end.
struct JournalLine {
  std::string_view text;
  int64_t number = 1;
  int64_t offset = 0;  // bytes
  bool whole = true;   // it has its end: the last may have been cut off
};

/// Each line of a journal of any size, in bounded memory; of a journal that is not there none. What is too long to be a
/// line of ours is cut. Throws Invalid for what is no regular file.
void for_each_line(const std::filesystem::path& journal, const std::function<void(const JournalLine&)>& take);

/// A count in a journal line. Throws Invalid where it is none.
uint64_t count_of(const nlohmann::json& line, const char* name);

/// Whether this is a name of a picture file of ours: 00000-7.png, 00000-7-ID.png.
bool is_picture_name(std::string_view name);

/// The picture files that a journal names, begun or done, each once: plain names of our own form, whatever it says. A
/// line that is cut off or is no JSON names nothing; neither does a journal that is not there. Throws Invalid for what
/// is no regular file.
std::vector<std::string> journaled_pictures(const std::filesystem::path& journal);

}  // namespace flux
