#include "model/checkpoint/safetensors_writer.h"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "parallel/rank/errors.h"

namespace flux {
namespace {

constexpr int64_t kAligned = 8;  // bytes: the header is padded to it with spaces

/// safetensors' name of a dtype.
const char* stored_as(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return "F32";
    case at::kBFloat16:
      return "BF16";
    case at::kHalf:
      return "F16";
    case at::kDouble:
      return "F64";
    case at::kChar:
      return "I8";
    case at::kByte:
      return "U8";
    default:
      TORCH_INTERNAL_ASSERT(false, "no weights are written as ", dtype);
  }
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(std::filesystem::path path,
                                     const std::vector<std::pair<std::string, at::Tensor>>& tensors)
    : path_(std::move(path)), part_(path_.parent_path() / ("." + path_.filename().string() + ".part")) {
  nlohmann::ordered_json header = {{"__metadata__", {{"format", "pt"}}}};  // which transformers asks for
  int64_t data = 0;
  for (const auto& [name, tensor] : tensors) {
    const auto bytes = static_cast<int64_t>(tensor.nbytes());
    header[name] = {{"dtype", stored_as(tensor.scalar_type())},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {data, data + bytes}}};
    places_[name] = {data, bytes, false};
    data += bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + kAligned - 1) / kAligned * kAligned, ' ');
  const uint64_t size = text.size();
  const auto begin = static_cast<int64_t>(sizeof(size) + size);
  for (auto& [name, place] : places_) place.begin += begin;
  end_ = begin + data;
  descriptor_ = open(part_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) refuse(std::strerror(errno));
  write(0, &size, sizeof(size));
  write(sizeof(size), text.data(), static_cast<int64_t>(size));
}

SafetensorsWriter::~SafetensorsWriter() {
  if (descriptor_ < 0) return;
  close(descriptor_);
  std::error_code gone;
  std::filesystem::remove(part_, gone);
}

void SafetensorsWriter::refuse(const std::string& what) const {
  throw Invalid(path_.string() + ": cannot be written: " + what);
}

void SafetensorsWriter::write(int64_t at, const void* from, int64_t bytes) {
  const auto* next = static_cast<const char*>(from);
  while (bytes > 0) {
    const ssize_t count = pwrite(descriptor_, next, static_cast<size_t>(bytes), at);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) refuse(std::strerror(errno));
    next += count;
    at += count;
    bytes -= count;
  }
}

void SafetensorsWriter::put(const std::string& name, const at::Tensor& values) {
  Place& place = places_.at(name);
  const at::Tensor here = values.cpu().contiguous();
  TORCH_INTERNAL_ASSERT(static_cast<int64_t>(here.nbytes()) == place.bytes, name, " is not as announced");
  write(place.begin, here.const_data_ptr(), place.bytes);
  place.written = true;
}

void SafetensorsWriter::finish() {
  for (const auto& [name, place] : places_) TORCH_INTERNAL_ASSERT(place.written, name, " was not written");
  if (fsync(descriptor_) != 0) refuse(std::strerror(errno));
  if (close(std::exchange(descriptor_, -1)) != 0) refuse(std::strerror(errno));
  std::error_code failed;
  std::filesystem::rename(part_, path_, failed);
  if (failed) refuse(failed.message());
}

}  // namespace flux
