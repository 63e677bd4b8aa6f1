#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace flux {

inline constexpr const char* kJournalName = "journal.jsonl";

/// The picture files that a journal names, begun or done, each once: plain names of our own form, whatever it says. A
/// line that is cut off or is no JSON names nothing; neither does a journal that is not there. Throws Invalid for what
/// is no regular file.
std::vector<std::string> journaled_pictures(const std::filesystem::path& journal);

}  // namespace flux
