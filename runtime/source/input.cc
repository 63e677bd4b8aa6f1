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
#include <string_view>
#include <utility>

#include "parallel/rank/errors.h"
#include "runtime/options/plain_text.h"

namespace flux {
namespace {

constexpr size_t block_size = size_t{1} << 16;

[[noreturn]] void refuse(const std::string& name, int error) {
  throw Invalid(name + ": cannot be read: " + std::strerror(error));
}

/// Keeps text as it comes.
class Intake {
 public:
  Intake(std::string name, size_t most) : name_(std::move(name)), most_(most) {}

  /// Blocks are full but for the last.
  void take(std::string_view block) {
    taken_ += block.size();
    if (taken_ > most_) throw Invalid(fmt::format("{}: is over {} MiB; split it", name_, most_ >> 20U));
    std::string text;
    try {
      text = plain_.next(block);
    } catch (const Invalid& error) {
      throw Invalid(name_ + ": " + error.what());
    }
    kept_.append(text);
  }

  Spool kept() { return std::move(kept_); }

 private:
  const std::string name_;
  const size_t most_;
  size_t taken_ = 0;
  PlainText plain_;
  Spool kept_;
};

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

  [[noreturn]] void silent(const char* what, std::chrono::milliseconds patience) const {
    throw Invalid(fmt::format("{}: {} for {} s", name_, what, std::chrono::duration<double>(patience).count()));
  }

  /// Throws Invalid where nothing comes for so long.
  Spool rest(std::chrono::milliseconds patience, size_t most) const {
    Intake intake(name_, most);
    std::array<char, block_size> block;
    size_t count = block.size();
    while (count == block.size()) {
      count = fill(block, patience);
      intake.take({block.data(), count});
    }
    return intake.kept();
  }

 private:
  /// Whole, unless the file ends.
  size_t fill(std::array<char, block_size>& block, std::chrono::milliseconds patience) const {
    size_t have = 0;
    while (have < block.size()) {
      const ssize_t count = ::read(descriptor_, block.data() + have, block.size() - have);
      if (count == 0) break;
      if (count > 0) {
        have += static_cast<size_t>(count);
      } else if (errno == EAGAIN) {
        if (!ready(pipe_ ? patience : std::chrono::milliseconds(-1)))
          silent("who writes to this named pipe has been silent", patience);
      } else if (errno != EINTR) {
        refuse(name_, errno);
      }
    }
    return have;
  }

  std::string name_;
  int descriptor_;
  bool pipe_ = false;
};

}  // namespace

Spool read_stream(std::istream& stream, const std::string& name, size_t most) {
  Intake intake(name, most);
  std::array<char, block_size> block;
  errno = 0;
  while (stream.read(block.data(), block.size()) || stream.gcount() > 0) {
    intake.take({block.data(), static_cast<size_t>(stream.gcount())});
  }
  // std::cin reads through stdio and takes an error for the end.
  const bool failed = stream.bad() || (&stream == &std::cin && std::ferror(stdin) != 0);
  if (failed) refuse(name, errno == 0 ? EIO : errno);
  return intake.kept();
}

Spool read_input(const std::filesystem::path& path, std::chrono::milliseconds patience, const Warn& warn, size_t most) {
  const OpenFile file(path);
  if (file.is_pipe() && !file.ready(std::min(patience, std::chrono::milliseconds(1000)))) {
    warn(path.string() + ": a named pipe; waiting for what is written to it");
    if (!file.ready(patience)) {
      file.silent("nobody has written to this named pipe", patience);
    }
  }
  return file.rest(patience, most);
}

}  // namespace flux
