#include "model/files/readable_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

#include "parallel/rank/errors.h"

namespace flux {
namespace {

std::string last_error() { return std::generic_category().message(errno); }

}  // namespace

ReadableFile::ReadableFile(const std::filesystem::path& path) : path_(path.string()) {
  // Looked at before it is opened, since opening alone does something to a device; and again after, since a name may
  // come to stand for another file meanwhile. Non-blocking: opening a named pipe would wait for a writer.
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) throw Invalid(path_ + ": cannot be opened: " + last_error());
  if (!S_ISREG(status.st_mode)) throw Invalid(path_ + ": is not a regular file");
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor_ < 0) throw Invalid(path_ + ": cannot be opened: " + last_error());
  try {
    if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode))
      throw Invalid(path_ + ": is not a regular file");
    size_ = status.st_size;
    refuse_pointer();
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

ReadableFile::~ReadableFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

ReadableFile::ReadableFile(ReadableFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)), size_(other.size_) {}

void ReadableFile::read(int64_t offset, void* into, int64_t bytes) const {
  auto* to = static_cast<char*>(into);
  while (bytes > 0) {
    const ssize_t got = ::pread(descriptor_, to, static_cast<size_t>(bytes), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Invalid(path_ + ": cannot be read: " + last_error());
    if (got == 0) {
      throw Invalid(path_ + ": ends at byte " + std::to_string(offset) + " though it was longer when it was opened (" +
                    std::to_string(size_) + " bytes); is it still being written?");
    }
    to += got;
    offset += got;
    bytes -= got;
  }
}

/// What Git LFS calls a pointer: a text of under 1024 bytes.
void ReadableFile::refuse_pointer() const {
  constexpr std::string_view first_line = "version https://git-lfs.";
  if (size_ >= 1024 || size_ < static_cast<int64_t>(first_line.size())) return;
  std::string begin(first_line.size(), '\0');
  read(0, begin.data(), static_cast<int64_t>(begin.size()));
  if (begin == first_line) {
    throw Invalid(path_ + ": is only what Git LFS has in place of the file; run `git lfs pull` in its folder");
  }
}

std::string read_whole_file(const std::filesystem::path& path, int64_t limit) {
  const ReadableFile file(path);
  if (file.size() > limit) {
    throw Invalid(file.path() + ": " + std::to_string(file.size()) + " bytes, at most " + std::to_string(limit) +
                  " are accepted");
  }
  std::string bytes(static_cast<size_t>(file.size()), '\0');
  file.read(0, bytes.data(), file.size());
  return bytes;
}

bool present(const std::filesystem::path& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) == 0) return true;
  if (errno == EACCES || errno == EPERM) throw Invalid(path.string() + ": may not be looked at: " + last_error());
  return false;
}

}  // namespace flux
