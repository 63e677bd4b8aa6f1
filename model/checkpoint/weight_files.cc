#include "model/checkpoint/weight_files.h"

#include <fmt/format.h>

#include <map>
#include <regex>
#include <string>
#include <system_error>

#include "model/files/printable.h"
#include "model/files/readable_file.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

namespace fs = std::filesystem;

/// The shards of one model, `model-00001-of-00003.safetensors` and so on, by their numbers.
struct Shards {
  bool variant = false;  // 16 bit beside a plain one
  unsigned long count = 0;
  std::map<unsigned long, fs::path> files;
};

/// By what the names of a model's shards have in common.
std::map<std::string, Shards> find_shards(const fs::path& folder) {
  static const std::regex pattern(
      R"((diffusion_pytorch_model|model)(\.fp16|\.bf16)?-(\d{5})-of-(\d{5})(\.fp16|\.bf16)?\.safetensors)");
  std::map<std::string, Shards> sets;
  std::error_code failed;
  for (fs::directory_iterator file(folder, failed), end; !failed && file != end; file.increment(failed)) {
    std::smatch part;
    const std::string name = file->path().filename().string();
    if (!std::regex_match(name, part, pattern) || !present(file->path())) continue;
    const auto number = std::stoul(part[3]), count = std::stoul(part[4]);
    if (number < 1 || number > count) continue;
    Shards& shards = sets[part.format("$1$2-*-of-$4$5")];
    shards.variant = part[2].matched || part[5].matched;
    shards.count = count;
    shards.files[number] = file->path();
  }
  if (failed) throw Invalid(folder.string() + ": its files cannot be listed: " + failed.message());
  return sets;
}

/// All of them, in their order.
WeightFiles complete(const Shards& shards) {
  WeightFiles found;
  for (const auto& [number, file] : shards.files) {
    if (number != found.files.size() + 1) break;
    found.files.push_back(file);
  }
  if (found.files.size() == shards.count) return found;
  const auto lacking = std::to_string(found.files.size() + 1);
  throw Invalid(shards.files.begin()->second.string() + ": of its " + std::to_string(shards.count) + " shards number " +
                lacking + " is missing, and there is no index; download all of them");
}

bool is_index(const std::string& name) { return name.find(".index") != std::string::npos; }

std::vector<WeightFiles> named(const fs::path& folder, const std::vector<std::string>& names) {
  std::vector<WeightFiles> found;
  for (const std::string& name : names) {
    const fs::path path = folder / name;
    if (!present(path)) continue;
    found.push_back(is_index(name) ? WeightFiles{.index = path, .files = {}}
                                   : WeightFiles{.index = {}, .files = {path}});
  }
  return found;
}

std::vector<WeightFiles> numbered(const fs::path& folder, bool variant) {
  std::vector<WeightFiles> found;
  for (const auto& [common, shards] : find_shards(folder)) {
    if (shards.variant == variant) found.push_back(complete(shards));
  }
  return found;
}

std::vector<std::string> variant_names() {
  std::vector<std::string> names;
  for (const std::string stem : {"diffusion_pytorch_model", "model"}) {
    for (const std::string variant : {".fp16", ".bf16"}) {
      names.push_back(fmt::format("{}.safetensors.index{}.json", stem, variant));
      names.push_back(fmt::format("{}{}.safetensors.index.json", stem, variant));  // diffusers' older name
      names.push_back(fmt::format("{}{}.safetensors", stem, variant));
    }
  }
  return names;
}

WeightFiles only(const fs::path& folder, const std::vector<WeightFiles>& found) {
  if (found.size() == 1) return found.front();
  const auto name = [&](size_t i) {
    return quoted_name((found[i].index.empty() ? found[i].files.front() : found[i].index).filename().string());
  };
  throw Invalid(folder.string() + ": holds several variants of its weights (" + name(0) + ", " + name(1) +
                "); keep one");
}

}  // namespace

WeightFiles find_weight_files(const fs::path& folder) {
  for (const char* name : {"diffusion_pytorch_model.safetensors.index.json", "diffusion_pytorch_model.safetensors",
                           "model.safetensors", "model.safetensors.index.json"}) {
    if (const auto found = named(folder, {name}); !found.empty()) return found.front();
  }
  if (const auto found = numbered(folder, /*variant=*/false); !found.empty()) return only(folder, found);
  if (const auto found = named(folder, variant_names()); !found.empty()) return only(folder, found);
  if (const auto found = numbered(folder, /*variant=*/true); !found.empty()) return only(folder, found);
  throw Invalid(folder.string() +
                ": holds no safetensors weights (diffusion_pytorch_model.safetensors, model.safetensors or an index of "
                "several); download them into this folder");
}

}  // namespace flux
