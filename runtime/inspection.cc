#include "runtime/inspection.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <memory>
#include <set>
#include <sstream>

#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/expected_tensors.h"
#include "model/checkpoint/weights.h"
#include "model/files/readable_file.h"
#include "model/tokenizer/tokenizer.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

std::string shape_text(const std::vector<int64_t>& shape) {
  std::ostringstream text;
  text << at::IntArrayRef(shape);
  return text.str();
}

/// What published folders hold beside the tensors that text-to-image computes with.
bool left_alone(const std::string& component, const std::string& name) {
  if (component == "vae") return name.starts_with("encoder.") || name.starts_with("quant_conv.");
  return name == "text_model.embeddings.position_ids" || name == "encoder.embed_tokens.weight";
}

void compare(const TensorSource& source, const std::vector<ExpectedTensor>& expected, ComponentInspection& component) {
  std::set<std::string> known;
  for (const auto& [name, shape, kept] : expected) {
    known.insert(name);
    const TensorInfo* info = source.find(name);
    if (info == nullptr) {
      component.missing.push_back(name);
      continue;
    }
    const std::string found = info->stored_as + " " + shape_text(info->shape);
    if (info->shape != shape) {
      component.mismatches.push_back({name, found, shape_text(shape)});
    } else if (!is_weight_dtype(info->dtype)) {
      component.mismatches.push_back({name, found, "F32, BF16, F16, F64 or F8_E4M3"});
    }
  }
  for (const std::string& name : source.names()) {
    if (!known.contains(name) && !left_alone(component.name, name)) component.unexpected.push_back(name);
  }
}

ComponentInspection inspect_weights(const Checkpoint& checkpoint, const std::string& name) {
  ComponentInspection component;
  component.name = name;
  try {
    const auto source = checkpoint.open(name);
    std::set<std::string> files;
    for (const std::string& tensor : source->names()) {
      const TensorInfo* info = source->find(tensor);
      ++component.tensors;
      ++component.tensors_by_dtype[info->stored_as];
      component.bytes += info->bytes;
      files.insert(*info->file);
    }
    component.files.assign(files.begin(), files.end());
    compare(*source, expected_tensors(checkpoint.folder, name), component);
  } catch (const Invalid& error) {
    component.error = error.what();
  }
  return component;
}

/// A tokenizer's folder, and the encoder that its ids are for.
struct TokenizerFolder {
  const char* name;
  std::vector<std::string> (*needed)(const std::filesystem::path& folder);
  std::unique_ptr<const Tokenizer> (*load)(const std::filesystem::path& folder);
  int64_t vocab_size;
};

/// Every text has its special tokens, so a model without room for them can draw nothing.
void check_special_tokens(const Tokenizer& tokenizer, int64_t vocab_size) {
  constexpr int64_t room = 8;
  std::vector<int64_t> ids = tokenizer("", room).ids;
  ids.push_back(tokenizer.padding());
  for (const int64_t id : ids) {
    if (id < 0 || id >= vocab_size) {
      throw Invalid("token id " + std::to_string(id) + " is past the " + std::to_string(vocab_size) +
                    " embeddings of its text encoder: one of the two is of another model");
    }
  }
}

ComponentInspection inspect_tokenizer(const ModelFolder& folder, const TokenizerFolder& tokenizer) {
  ComponentInspection component;
  component.name = tokenizer.name;
  const auto path = folder.path / tokenizer.name;
  try {
    for (const char* file : {"vocab.json", "merges.txt", "spiece.model", "tokenizer.json", "tokenizer_config.json",
                             "special_tokens_map.json", "added_tokens.json"}) {
      if (!present(path / file)) continue;
      component.files.push_back((path / file).string());
      component.bytes += ReadableFile(path / file).size();
    }
    std::ranges::copy_if(tokenizer.needed(path), std::back_inserter(component.missing),
                         [&](const auto& file) { return !present(path / file); });
    if (component.missing.empty()) check_special_tokens(*tokenizer.load(path), tokenizer.vocab_size);
  } catch (const Invalid& error) {
    component.error = error.what();
  }
  return component;
}

}  // namespace

bool Inspection::complete() const {
  return std::all_of(components.begin(), components.end(), [](const auto& component) { return component.complete(); });
}

Inspection inspect(const ModelFolder& folder) {
  const Checkpoint checkpoint = published(folder);
  Inspection inspection;
  inspection.folder = folder.path.string();
  inspection.family = folder.distilled() ? "FLUX.1, distilled as schnell" : "FLUX.1, guidance embedded as dev";
  for (const char* name : {"transformer", "text_encoder", "text_encoder_2", "vae"}) {
    inspection.components.push_back(inspect_weights(checkpoint, name));
  }
  inspection.components.push_back(inspect_tokenizer(folder, {.name = "tokenizer",
                                                             .needed = clip_tokenizer_files,
                                                             .load = clip_tokenizer,
                                                             .vocab_size = folder.text_encoder.vocab_size}));
  inspection.components.push_back(inspect_tokenizer(folder, {.name = "tokenizer_2",
                                                             .needed = t5_tokenizer_files,
                                                             .load = t5_tokenizer,
                                                             .vocab_size = folder.text_encoder_2.vocab_size}));
  return inspection;
}

}  // namespace flux
