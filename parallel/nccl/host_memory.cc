#include "parallel/nccl/host_memory.h"

#include <cuda_runtime_api.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
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

}  // namespace

HostMemory shared_host_memory(HostGroup& group, size_t bytes) {
  std::shared_ptr<const File> created;
  std::string path;
  std::string refused = together(group, [&] {
    if (group.rank() != 0) return;
    created = unnamed(bytes);
    path = fmt::format("/proc/{}/fd/{}", ::getpid(), created->descriptor());
  });
  if (!refused.empty()) return {nullptr, refused};
  path = group.exchange(path).front();

  std::shared_ptr<Mapping> mapping;
  refused = together(group, [&] {
    mapping = std::make_shared<Mapping>(File("shared memory of another rank", ::open(path.c_str(), O_RDWR | O_CLOEXEC)),
                                        bytes);
    // What a rank writes first lies where its core is.
    const size_t each = bytes / static_cast<size_t>(group.size());
    std::memset(mapping->data() + static_cast<size_t>(group.rank()) * each, 0, each);
    mapping->pin();
  });
  if (!refused.empty()) return {nullptr, refused};
  char* const data = mapping->data();
  return {std::shared_ptr<char>(std::move(mapping), data), ""};
}

}  // namespace flux
