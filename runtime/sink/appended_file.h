#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "runtime/sink/descriptor.h"

namespace flux {

/// A file of whole lines that only grows. A line that did not fit is taken back, so that it spoils none that follows.
class AppendedFile {
 public:
  /// Makes it; there must be no file of that name. Throws Invalid.
  explicit AppendedFile(const std::filesystem::path& path);

  /// Goes on with one that is there, after its first `bytes`: what is behind them goes. Throws Invalid.
  AppendedFile(const std::filesystem::path& path, int64_t bytes);

  /// `line` without its end. Throws Invalid.
  void append(std::string_view line);

  /// To the disk. Throws Invalid.
  void sync() { file_.sync(); }

 private:
  Descriptor file_;
  int64_t bytes_ = 0;  // of whole lines
};

}  // namespace flux
