#include "parallel/nccl/host_memory.h"

#include <cuda_runtime_api.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iterator>
#include <random>
#include <stdexcept>
#include <utility>

namespace flux {
namespace {

[[noreturn]] void refuse(const char* what, const char* why) {
  throw std::runtime_error(fmt::format("{}: {}", what, why));
}

class File {
 public:
  File(const char* what, int descriptor) : descriptor_(descriptor) {
    if (descriptor_ < 0) refuse(what, std::strerror(errno));
  }
  ~File() { ::close(descriptor_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

/// A file's memory in this process.
class Mapping {
 public:
  Mapping(const File& file, size_t bytes)
      : bytes_(bytes), data_(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.descriptor(), 0)) {
    if (data_ == MAP_FAILED) refuse("mapping shared memory", std::strerror(errno));
  }
  ~Mapping() {
    if (pinned_) cudaHostUnregister(data_);
    ::munmap(data_, bytes_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  void pin() {
    const cudaError_t error = cudaHostRegister(data_, bytes_, cudaHostRegisterPortable);
    pinned_ = error == cudaSuccess;
    if (pinned_) return;
    cudaGetLastError();  // it is not to be found by whoever asks next
    refuse("pinning shared memory", cudaGetErrorString(error));
  }

  char* data() const { return static_cast<char*>(data_); }

 private:
  size_t bytes_;
  void* data_;
  bool pinned_ = false;
};

/// What a file begins with, to know it by: two hosts may have one name, and two namespaces one process id.
std::string new_mark() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

void write_mark(const File& file, const std::string& mark) {
  if (::pwrite(file.descriptor(), mark.data(), mark.size(), 0) != std::ssize(mark))
    refuse("shared memory", std::strerror(errno));
}

void require_mark(const File& file, const std::string& mark, size_t bytes) {
  struct stat found{};
  std::string there(mark.size(), ' ');
  if (::fstat(file.descriptor(), &found) != 0 || !S_ISREG(found.st_mode) ||
      found.st_size != static_cast<off_t>(bytes) ||
      ::pread(file.descriptor(), there.data(), there.size(), 0) != std::ssize(there) || there != mark)
    refuse("shared memory of another rank", "its process is in another container, or on another host");
}

/// Unlike a file of /dev/shm it has no name, and no limit that a container sets.
std::shared_ptr<const File> unnamed(size_t bytes) {
  auto file = std::make_shared<const File>("shared memory", ::memfd_create("flux-dist gather", MFD_CLOEXEC));
  if (::ftruncate(file->descriptor(), static_cast<off_t>(bytes)) != 0) refuse("shared memory", std::strerror(errno));
  return file;
}

/// What every rank does by itself, and how it went. Everybody hears of what went wrong anywhere.
template <typename Work>
std::string together(HostGroup& group, const Work& work) {
  std::string problem;
  try {
    work();
  } catch (const std::runtime_error& error) {
    problem = error.what();
  }
  for (const std::string& theirs : group.exchange(problem))
    if (!theirs.empty()) return theirs;
  return "";
}

/// What a rank writes first lies where its core is. Nobody does before all have looked for the mark.
void touch_and_pin(Mapping& mapping, size_t bytes, const HostGroup& group) {
  const size_t each = bytes / static_cast<size_t>(group.size());
  std::memset(mapping.data() + static_cast<size_t>(group.rank()) * each, 0, each);
  mapping.pin();
}

}  // namespace

HostMemory shared_host_memory(HostGroup& group, size_t bytes) {
  std::shared_ptr<const File> created;
  std::string path, mark;
  std::string refused = together(group, [&] {
    if (group.rank() != 0) return;
    created = unnamed(bytes);
    mark = new_mark();
    write_mark(*created, mark);
    path = fmt::format("/proc/{}/fd/{}", ::getpid(), created->descriptor());
  });
  if (!refused.empty()) return {nullptr, refused};
  path = group.exchange(path).front();
  mark = group.exchange(mark).front();

  std::shared_ptr<Mapping> mapping;
  refused = together(group, [&] {
    const File file("shared memory of another rank", ::open(path.c_str(), O_RDWR | O_CLOEXEC));
    require_mark(file, mark, bytes);
    mapping = std::make_shared<Mapping>(file, bytes);
  });
  if (refused.empty()) refused = together(group, [&] { touch_and_pin(*mapping, bytes, group); });
  if (!refused.empty()) return {nullptr, refused};
  char* const data = mapping->data();
  return {std::shared_ptr<char>(std::move(mapping), data), ""};
}

}  // namespace flux
