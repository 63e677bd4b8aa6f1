#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace flux {

/// The right to draw into a folder: a file `.lock-N` that says who has it and is touched every few seconds. N is the
/// fencing number: each owner's is higher than the one before, and whoever finds a higher one has lost the folder.
class FolderLock {
 public:
  /// Takes the lock over from an owner that is dead: its process is gone (on this host), or its file was not touched
  /// for a minute. Throws Invalid naming an owner that lives.
  explicit FolderLock(std::filesystem::path folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  int64_t number() const { return number_; }

  /// The owner before, if it died without giving the folder up: who it was, in words.
  const std::string& taken_from() const { return taken_from_; }

  /// Gives it up for a process that ends here and now. Needs nothing of this object, and does nothing once that has
  /// given the lock up.
  std::function<void()> last_act() const;

  /// Throws Aborted when another has taken the folder over, as it does from an owner that slept.
  void require() const;

  /// Gives it up.
  void release() const noexcept { last_act()(); }

  static bool is_lock(const std::filesystem::path& file);

 private:
  void take();
  void beat();

  std::filesystem::path folder_;
  int64_t number_ = 0;
  std::string taken_from_;
  std::shared_ptr<std::atomic<bool>> held_ = std::make_shared<std::atomic<bool>>(false);
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread heart_;
};

}  // namespace flux
