#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <thread>

#include "parallel/rank/errors.h"

namespace flux {

/// An open file of ours. Errors are Invalid and name it.
class Descriptor {
 public:
  Descriptor(std::filesystem::path path, int flags) : path_(std::move(path)), fd_(open(path_.c_str(), flags, 0666)) {
    if (fd_ < 0) fail("open");
  }
  ~Descriptor() { close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  void write_all(std::string_view bytes) {
    repeat(bytes, [&](std::string_view rest) { return write(fd_, rest.data(), rest.size()); });
  }

  void write_at(int64_t offset, std::string_view bytes) {
    const int64_t end = offset + static_cast<int64_t>(bytes.size());
    repeat(bytes, [&](std::string_view rest) {
      return pwrite(fd_, rest.data(), rest.size(), end - static_cast<int64_t>(rest.size()));
    });
  }

  /// Takes back what is after `bytes`, as far as the system lets it.
  void cut(int64_t bytes) noexcept {
    if (ftruncate(fd_, bytes) != 0) errno = 0;
  }

  /// Ends the file after `bytes`, which it may already do.
  void shorten(int64_t bytes) {
    if (lseek(fd_, 0, SEEK_END) > bytes && ftruncate(fd_, bytes) != 0) fail("shorten");
  }

  /// Waits until no other process has the file locked, for some seconds at most: there are file systems without locks,
  /// and processes that are stopped. Held as long as this lives.
  void wait_for_turn() const {
    for (int tries = 0; tries < 50 && flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK; ++tries)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }

  /// To the disk.
  void sync() {
    if (fsync(fd_) != 0) fail("write");
  }

 private:
  /// Until `write_some` has written all.
  template <typename Write>
  void repeat(std::string_view bytes, const Write& write_some) {
    while (!bytes.empty()) {
      const ssize_t written = write_some(bytes);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail("write");
      bytes.remove_prefix(static_cast<size_t>(written));
    }
  }

  [[noreturn]] void fail(const char* what) const {
    const int error = errno;
    throw Invalid("cannot " + std::string(what) + " " + path_.string() + ": " + std::strerror(error));
  }

  std::filesystem::path path_;
  int fd_;
};

}  // namespace flux
