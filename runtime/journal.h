#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/sink/descriptor.h"

namespace flux {

/// journal.jsonl: a line for every picture that was drawn or failed, on the disk before anybody is told.
class Journal {
 public:
  static constexpr const char* kName = "journal.jsonl";

  /// Begins a new one. Throws Invalid.
  explicit Journal(const std::filesystem::path& folder);

  /// `line` without a line end. Throws Invalid.
  void append(std::string_view line);

 private:
  Descriptor file_;
};

/// The picture files that the folder's journal lists: plain names of our own form, whatever the journal says. A line
/// that is cut off or is no JSON lists nothing.
std::vector<std::string> journaled_pictures(const std::filesystem::path& folder);

}  // namespace flux
