#include "runtime/inspection.h"

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <set>
#include <sstream>

#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/expected_tensors.h"
#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/weights.h"
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
  for (const auto& [name, shape] : expected) {
    known.insert(name);
    const TensorInfo* info = source.find(name);
    if (info == nullptr) {
      component.missing.push_back(name);
      continue;
    }
    const std::string found = stored_dtype_name(info->dtype) + " " + shape_text(info->shape);
    if (info->shape != shape) {
      component.mismatches.push_back({name, found, shape_text(shape)});
    } else if (!is_weight_dtype(info->dtype)) {
      component.mismatches.push_back({name, found, "F32, BF16, F16 or F64"});
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
      ++component.tensors_by_dtype[stored_dtype_name(info->dtype)];
      component.bytes += c10::multiply_integers(info->shape) * static_cast<int64_t>(c10::elementSize(info->dtype));
      files.insert(info->file);
    }
    component.files.assign(files.begin(), files.end());
    compare(*source, expected_tensors(checkpoint.folder, name), component);
  } catch (const Invalid& error) {
    component.error = error.what();
  }
  return component;
}

using LoadTokenizer = std::unique_ptr<const Tokenizer> (*)(const std::filesystem::path& folder);

ComponentInspection inspect_tokenizer(const ModelFolder& folder, const std::string& name,
                                      std::initializer_list<const char*> files, LoadTokenizer load) {
  ComponentInspection component;
  component.name = name;
  for (const char* file : files) {
    std::error_code failed;
    const auto path = folder.path / name / file;
    const auto bytes = std::filesystem::file_size(path, failed);
    if (failed) {
      component.missing.emplace_back(file);
    } else {
      component.files.push_back(path.string());
      component.bytes += static_cast<int64_t>(bytes);
    }
  }
  if (!component.missing.empty()) return component;
  try {
    load(folder.path / name);
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
  inspection.components.push_back(
      inspect_tokenizer(folder, "tokenizer", {"vocab.json", "merges.txt", "tokenizer_config.json"}, clip_tokenizer));
  inspection.components.push_back(
      inspect_tokenizer(folder, "tokenizer_2", {"spiece.model", "tokenizer_config.json"}, t5_tokenizer));
  return inspection;
}

}  // namespace flux
