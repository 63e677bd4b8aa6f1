#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "runtime/options.h"
#include "runtime/past_run.h"
#include "runtime/sink/folder_lock.h"

namespace flux {

/// Where pictures go, for as long as this lives for this run alone.
class OutputFolder {
 public:
  /// Makes the folder where it is missing and takes its lock. Throws Invalid when it cannot be written, holds anything
  /// and is neither to be overwritten nor a run to be resumed, or holds what could not be replaced. Removes nothing.
  explicit OutputFolder(const OutputOptions& options);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  /// The run to be resumed; none where this is the first.
  const PastRun* past() const { return past_ ? &*past_ : nullptr; }

  /// What the run before leaves behind goes. To be overwritten: the pictures that its journal names, whole or half
  /// written, its journal and its gallery, nothing else. To be resumed: the pictures that it did not finish. Throws
  /// Invalid.
  void clear_previous_run();

  /// Throws Aborted when the folder is gone, or another run has taken it over.
  void require_ownership() const { lock_.require(); }

  /// For a process that ends here and now: leaves no lock and nothing half written. Needs nothing of this object.
  std::function<void()> last_act() const;

  const std::filesystem::path& path() const { return options_.folder; }
  const Part& part() const { return options_.part; }
  ImageFormat format() const { return format_; }
  const FolderLock& lock() const { return lock_; }

  /// `00000-<seed>.png`, or `00000-<seed>-<id>.png`: nothing of the prompt.
  std::string file_name(int64_t picture, uint64_t seed, const std::string& id) const;

 private:
  OutputOptions options_;
  bool made_ = false;   // by this run
  bool begun_ = false;  // something of this run is in it
  FolderLock lock_;
  std::optional<PastRun> past_;
  std::vector<std::string> previous_;  // files that go
  ImageFormat format_ = ImageFormat::png;
};

}  // namespace flux
