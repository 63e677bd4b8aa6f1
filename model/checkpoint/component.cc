#include "model/checkpoint/component.h"

#include <nlohmann/json.hpp>

#include <map>
#include <ranges>
#include <utility>

#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/weight_files.h"
#include "model/files/json_file.h"
#include "model/files/printable.h"
#include "model/files/readable_file.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kLongestIndex = 16 << 20;  // bytes, of which the JSON takes some twenty times; FLUX.1's has 0.1 MB

/// The tensors of one or several safetensors files.
class Files : public TensorSource {
 public:
  explicit Files(const fs::path& folder) : folder_(folder.string()) {}

  void add(const fs::path& path) {
    const SafetensorsFile& file = open(path);
    for (const StoredTensor& tensor : file.tensors()) {
      const auto [other, is_new] = tensors_.try_emplace(tensor.info.name, Stored{&file, &tensor});
      if (is_new) continue;
      throw Invalid(path.string() + ": tensor " + quoted_name(tensor.info.name) + " is also in " +
                    *other->second.tensor->info.file);
    }
  }

  void add_index(const fs::path& index);

  std::string where() const override { return folder_; }

  const TensorInfo* find(std::string_view name) const override {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &found->second.tensor->info;
  }

  std::vector<std::string> names() const override {
    const auto names = std::views::keys(tensors_);
    return {names.begin(), names.end()};
  }

  void read(const TensorInfo& tensor, int64_t row, const at::Tensor& into) const override {
    const Stored& stored = tensors_.at(tensor.name);
    stored.file->read(*stored.tensor, row, into);
  }

 private:
  struct Stored {
    const SafetensorsFile* file = nullptr;
    const StoredTensor* tensor = nullptr;
  };

  const SafetensorsFile& open(const fs::path& path) {
    return files_.try_emplace(path.filename().string(), path).first->second;
  }

  std::string folder_;
  std::map<std::string, SafetensorsFile> files_;
  std::map<std::string, Stored, std::less<>> tensors_;
};

/// {"weight_map": {tensor: file of the same folder}}
void Files::add_index(const fs::path& index) {
  const std::string at = index.string();
  const nlohmann::json json = read_json_object(index, kLongestIndex);
  const auto map = json.find("weight_map");
  if (map == json.end() || !map->is_object()) throw Invalid(at + ": has no object weight_map");

  std::map<std::string, std::map<std::string, Stored>> shards;
  for (const auto& [tensor, file] : map->items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    const bool plain = name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos &&
                       name.find("..") == std::string::npos && name.ends_with(".safetensors");
    if (!plain) {
      throw Invalid(at + ": tensor " + quoted_name(tensor) + " lies in " + quoted_name(name) +
                    ", which is not the plain name of a .safetensors file beside the index");
    }
    auto [shard, first] = shards.try_emplace(name);
    if (first) {
      if (!present(index.parent_path() / name)) {
        throw Invalid(at + ": names the file " + quoted_name(name) + ", which is not there; download it");
      }
      const SafetensorsFile& opened = open(index.parent_path() / name);
      for (const StoredTensor& stored : opened.tensors()) shard->second[stored.info.name] = {&opened, &stored};
    }
    const auto stored = shard->second.find(tensor);
    if (stored == shard->second.end()) {
      throw Invalid(at + ": tensor " + quoted_name(tensor) + " is not in " + quoted_name(name) + " as the index says");
    }
    tensors_[tensor] = stored->second;
  }
}

}  // namespace

std::shared_ptr<const TensorSource> open_component(const fs::path& folder) {
  if (!present(folder)) throw Invalid(folder.string() + ": there is no such folder; download it");
  auto files = std::make_shared<Files>(folder);
  const auto [index, alone] = find_weight_files(folder);
  if (!index.empty()) files->add_index(index);
  for (const fs::path& file : alone) files->add(file);
  return files;
}

}  // namespace flux
