#include "runtime/source/spool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "parallel/rank/errors.h"

namespace flux {
namespace {

constexpr size_t in_memory = size_t{1} << 20;  // bytes

}  // namespace

class Spool::File {
 public:
  File() {
    std::error_code unknown;
    folder_ = std::filesystem::temp_directory_path(unknown).string();
    if (folder_.empty()) refuse(unknown.value());
    std::string path = folder_ + "/flux-dist-XXXXXX";
    descriptor_ = mkostemp(path.data(), O_CLOEXEC);
    if (descriptor_ < 0) refuse(errno);
    unlink(path.c_str());
  }
  ~File() { close(descriptor_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int descriptor() const { return descriptor_; }
  size_t size() const { return size_; }

  void append(std::string_view bytes) {
    size_ += bytes.size();
    while (!bytes.empty()) {
      const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
      if (count < 0 && errno != EINTR) refuse(errno);
      if (count > 0) bytes.remove_prefix(static_cast<size_t>(count));
    }
  }

  std::string read(size_t offset, size_t count) const {
    std::string bytes(count, '\0');
    for (size_t have = 0; have < count;) {
      const ssize_t more = pread(descriptor_, bytes.data() + have, count - have, static_cast<off_t>(offset + have));
      if (more == 0 || (more < 0 && errno != EINTR))
        throw std::system_error(more == 0 ? EIO : errno, std::generic_category(), "what is kept in " + folder_);
      if (more > 0) have += static_cast<size_t>(more);
    }
    return bytes;
  }

 private:
  [[noreturn]] void refuse(int error) const {
    throw Invalid(fmt::format("prompts cannot be kept in {} ({}): set TMPDIR to a folder with room for them",
                              folder_.empty() ? "the folder for temporary files" : folder_, std::strerror(error)));
  }

  std::string folder_;
  int descriptor_ = -1;
  size_t size_ = 0;
};

class Spool::Mapping {
 public:
  explicit Mapping(const File& file)
      : begin_(mmap(nullptr, file.size(), PROT_READ, MAP_SHARED, file.descriptor(), 0)), size_(file.size()) {
    if (begin_ == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap of a temporary file");
    madvise(begin_, size_, MADV_SEQUENTIAL);
  }
  ~Mapping() { munmap(begin_, size_); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  std::string_view text() const { return {static_cast<const char*>(begin_), size_}; }

 private:
  void* begin_;
  size_t size_;
};

Spool::Spool() = default;
Spool::Spool(Spool&&) noexcept = default;
Spool& Spool::operator=(Spool&&) noexcept = default;
Spool::~Spool() = default;

size_t Spool::filed() const { return file_ ? file_->size() : 0; }

void Spool::append(std::string_view bytes) {
  mapping_.reset();
  buffer_ += bytes;
  if (buffer_.size() >= in_memory) flush();
}

void Spool::flush() {
  if (!file_) file_ = std::make_unique<File>();
  file_->append(buffer_);
  buffer_.clear();
}

std::string Spool::read(size_t offset, size_t count) const {
  return offset >= filed() ? buffer_.substr(offset - filed(), count) : file_->read(offset, count);
}

std::string_view Spool::text() {
  if (!file_) return buffer_;
  if (!buffer_.empty()) flush();
  if (!mapping_) mapping_ = std::make_unique<Mapping>(*file_);
  return mapping_->text();
}

}  // namespace flux
