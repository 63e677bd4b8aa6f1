#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace flux {

/// A regular file opened for reading, symbolic links followed. Reads by position: a file that shrinks meanwhile is an
/// Invalid, where a mapping would be a SIGBUS. Thread-safe.
class ReadableFile {
 public:
  /// Throws Invalid when there is no such regular file or it may not be read.
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
  std::string path_;
  int descriptor_ = -1;
  int64_t size_ = 0;
};

/// The whole file; larger than `limit` bytes is Invalid.
std::string read_whole_file(const std::filesystem::path& path, int64_t limit);

}  // namespace flux
