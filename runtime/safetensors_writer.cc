#include "runtime/safetensors_writer.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <functional>
#include <system_error>

#include "model/checkpoint/safetensors.h"
#include "parallel/rank/errors.h"
#include "runtime/sink/new_file.h"

namespace flux {
namespace {

constexpr size_t kAligned = 8;  // bytes: the header is padded to it with spaces

std::string_view as_bytes(const void* from, size_t bytes) { return {static_cast<const char*>(from), bytes}; }

}  // namespace

SafetensorsWriter::Part::~Part() {
  std::error_code not_there;
  std::filesystem::remove(path, not_there);
}

SafetensorsWriter::SafetensorsWriter(std::filesystem::path path, NamedTensors tensors)
    : path_(std::move(path)), part_{part_of(path_)}, file_(part_.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC) {
  std::ranges::stable_sort(tensors, std::greater(), [](const auto& tensor) { return tensor.second.element_size(); });
  nlohmann::ordered_json header = {{"__metadata__", {{"format", "pt"}}}};  // which transformers asks for
  int64_t data = 0;
  for (const auto& [name, tensor] : tensors) {
    const auto bytes = static_cast<int64_t>(tensor.nbytes());
    header[name] = {{"dtype", safetensors_dtype(tensor.scalar_type())},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {data, data + bytes}}};
    places_[name] = {data, bytes, false};
    data += bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + kAligned - 1) / kAligned * kAligned, ' ');
  const uint64_t size = text.size();
  file_.write_all(as_bytes(&size, sizeof(size)));
  file_.write_all(text);
  const auto begin = static_cast<int64_t>(sizeof(size) + size);
  for (auto& [name, place] : places_) place.begin += begin;
  end_ = begin + data;
}

void SafetensorsWriter::put(const std::string& name, const at::Tensor& values) {
  Place& place = places_.at(name);
  const at::Tensor here = values.cpu().contiguous();
  TORCH_INTERNAL_ASSERT(static_cast<int64_t>(here.nbytes()) == place.bytes, name, " is not as announced");
  file_.write_at(place.begin, as_bytes(here.const_data_ptr(), here.nbytes()));
  place.written = true;
}

void SafetensorsWriter::finish() {
  for (const auto& [name, place] : places_) TORCH_INTERNAL_ASSERT(place.written, name, " was not written");
  file_.sync();
  std::error_code failed;
  std::filesystem::rename(part_.path, path_, failed);
  if (failed) throw Invalid("cannot write " + path_.string() + ": " + failed.message());
  sync_folder(path_.parent_path());
}

}  // namespace flux
