#pragma once

#include <filesystem>
#include <string>

#include "runtime/options.h"

namespace flux {

/// Where pictures go.
class OutputFolder {
 public:
  /// Makes the folder where it is missing. Throws Invalid when it cannot be written, or holds anything and is not to be
  /// overwritten. Removes nothing.
  explicit OutputFolder(const OutputOptions& options);

  /// Removes the pictures, journal and gallery of the run before: what its journal lists, nothing else.
  void clear_previous_run() const;

  const std::filesystem::path& path() const { return options_.folder; }
  ImageFormat format() const { return options_.format; }

  /// `00000-<seed>.png`: nothing of the prompt.
  std::string file_name(const Job& job) const;

 private:
  OutputOptions options_;
};

}  // namespace flux
