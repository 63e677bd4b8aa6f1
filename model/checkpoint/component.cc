#include "model/checkpoint/component.h"

#include <nlohmann/json.hpp>

#include <map>
#include <ranges>
#include <utility>

#include "model/checkpoint/safetensors.h"
#include "model/files/json_file.h"
#include "model/files/printable.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

namespace fs = std::filesystem;

bool present(const fs::path& path) {
  std::error_code ignored;  // a loop of links is as good as absent
  return fs::exists(path, ignored);
}

/// The tensors of one or several safetensors files.
class Files : public TensorSource {
 public:
  explicit Files(const fs::path& folder) : folder_(folder.string()) {}

  void add(const fs::path& path) {
    const SafetensorsFile& file = open(path);
    for (const StoredTensor& tensor : file.tensors()) tensors_[tensor.info.name] = {&file, &tensor};
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
  const nlohmann::json json = read_json_object(index, SafetensorsFile::longest_header);
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

bool is_index(const std::string& name) { return name.find(".index") != std::string::npos; }

/// What diffusers and transformers write, in the order in which they look; then the 16 bit variants, of which a folder
/// without the plain files may hold one.
fs::path weights_file(const fs::path& folder) {
  const std::vector<std::vector<std::string>> choices = {
      {"diffusion_pytorch_model.safetensors.index.json"},
      {"diffusion_pytorch_model.safetensors"},
      {"model.safetensors"},
      {"model.safetensors.index.json"},
      {"diffusion_pytorch_model.safetensors.index.fp16.json", "diffusion_pytorch_model.safetensors.index.bf16.json",
       "diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.bf16.safetensors",
       "model.safetensors.index.fp16.json", "model.safetensors.index.bf16.json", "model.fp16.safetensors",
       "model.bf16.safetensors"},
  };
  for (const auto& names : choices) {
    std::vector<fs::path> found;
    for (const std::string& name : names) {
      if (present(folder / name)) found.push_back(folder / name);
    }
    if (found.size() > 1) {
      throw Invalid(folder.string() + ": holds several variants of its weights (" + found[0].filename().string() +
                    ", " + found[1].filename().string() + "); keep one");
    }
    if (found.size() == 1) return found[0];
  }
  throw Invalid(folder.string() +
                ": holds no safetensors weights (diffusion_pytorch_model.safetensors, model.safetensors or an index of "
                "several); download them into this folder");
}

}  // namespace

std::shared_ptr<const TensorSource> open_component(const fs::path& folder) {
  if (!present(folder)) throw Invalid(folder.string() + ": there is no such folder; download it");
  auto files = std::make_shared<Files>(folder);
  const fs::path path = weights_file(folder);
  if (is_index(path.filename().string())) {
    files->add_index(path);
  } else {
    files->add(path);
  }
  return files;
}

}  // namespace flux
