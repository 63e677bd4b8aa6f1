#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace flux {

/// A regular file opened for reading, symbolic links followed: the only way in which files from outside are opened.
/// Reads by position: a file that shrinks meanwhile is an Invalid, where a mapping would be a SIGBUS. Thread-safe.
class ReadableFile {
 public:
  /// Throws Invalid when there is no such regular file or it may not be read, and for what Git LFS leaves in place of a
  /// file that it has not fetched.
  explicit ReadableFile(const std::filesystem::path& path);
  ~ReadableFile();
  ReadableFile(ReadableFile&& other) noexcept;
  ReadableFile(const ReadableFile&) = delete;
  ReadableFile& operator=(const ReadableFile&) = delete;
  ReadableFile& operator=(ReadableFile&&) = delete;

  const std::string& path() const { return path_; }
  int64_t size() const { return size_; }  // bytes, when it was opened

  /// Fills `into` with `bytes` bytes from `offset` on. Throws Invalid when the file ends before.
  void read(int64_t offset, void* into, int64_t bytes) const;

 private:
  void refuse_pointer() const;

  std::string path_;
  int descriptor_ = -1;
  int64_t size_ = 0;
};

/// The whole file; larger than `limit` bytes is Invalid.
std::string read_whole_file(const std::filesystem::path& path, int64_t limit);

/// Whether there is something at the path, links followed; a loop of links is as good as nothing. Throws Invalid when a
/// folder on the way may not be entered: then nobody knows.
bool present(const std::filesystem::path& path);

}  // namespace flux
