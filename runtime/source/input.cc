#include "runtime/source/input.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <limits>
#include <utility>

#include "parallel/rank/errors.h"

namespace flux {
namespace {

constexpr size_t largest = size_t{1} << 28;  // bytes

[[noreturn]] void refuse(const std::string& name, int error) {
  throw Invalid(name + ": cannot be read: " + std::strerror(error));
}

void append(std::string& bytes, const char* more, size_t count, const std::string& name) {
  if (bytes.size() + count > largest) throw Invalid(name + ": is over 256 MiB; split it");
  bytes.append(more, count);
}

class OpenFile {
 public:
  /// Never waits for a writer.
  explicit OpenFile(const std::filesystem::path& path)
      : name_(path.string()), descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (descriptor_ < 0) refuse(name_, errno);
    struct stat status{};
    pipe_ = fstat(descriptor_, &status) == 0 && S_ISFIFO(status.st_mode);
  }
  ~OpenFile() { close(descriptor_); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  bool is_pipe() const { return pipe_; }

  /// Whether there is something to read, or the end.
  bool ready(std::chrono::milliseconds patience) const {
    pollfd one{descriptor_, POLLIN, 0};
    constexpr int64_t longest = std::numeric_limits<int>::max();
    return poll(&one, 1, static_cast<int>(std::min<int64_t>(patience.count(), longest))) != 0;
  }

  std::string rest() const {
    std::string bytes;
    std::array<char, 1 << 16> block;
    while (true) {
      const ssize_t count = ::read(descriptor_, block.data(), block.size());
      if (count == 0) return bytes;
      if (count > 0) {
        append(bytes, block.data(), static_cast<size_t>(count), name_);
      } else if (errno == EAGAIN) {
        ready(std::chrono::milliseconds(-1));
      } else if (errno != EINTR) {
        refuse(name_, errno);
      }
    }
  }

 private:
  std::string name_;
  int descriptor_;
  bool pipe_ = false;
};

}  // namespace

std::string read_stream(std::istream& stream, const std::string& name) {
  std::string bytes;
  std::array<char, 1 << 16> block;
  errno = 0;
  while (stream.read(block.data(), block.size()) || stream.gcount() > 0) {
    append(bytes, block.data(), static_cast<size_t>(stream.gcount()), name);
  }
  // std::cin reads through stdio and takes an error for the end.
  const bool failed = stream.bad() || (&stream == &std::cin && std::ferror(stdin) != 0);
  if (failed) refuse(name, errno == 0 ? EIO : errno);
  return bytes;
}

std::string read_input(const std::filesystem::path& path, std::chrono::milliseconds patience, const Warn& warn) {
  const OpenFile file(path);
  if (file.is_pipe() && !file.ready(std::min(patience, std::chrono::milliseconds(1000)))) {
    warn(path.string() + ": a named pipe; waiting for what is written to it");
    if (!file.ready(patience)) {
      throw Invalid(fmt::format("{}: nobody has written to this named pipe for {} s", path.string(),
                                std::chrono::duration<double>(patience).count()));
    }
  }
  return file.rest();
}

}  // namespace flux
