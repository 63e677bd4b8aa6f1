#include "model/checkpoint/identity.h"

#include <c10/util/hash.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "model/files/readable_file.h"

namespace flux {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kWhole = 4 << 20;  // bytes: a file up to this size is taken whole
constexpr int64_t kSample = 4 << 10, kSamples = 256;

std::string sampled(const fs::path& path) {
  const ReadableFile file(path);
  if (file.size() <= kWhole) return read_whole_file(path, kWhole);
  std::string bytes(static_cast<size_t>(kSample * kSamples), '\0');
  const int64_t stride = (file.size() - kSample) / (kSamples - 1);  // the last sample ends with the file
  for (int64_t i = 0; i < kSamples; ++i) file.read(i * stride, bytes.data() + i * kSample, kSample);
  return bytes;
}

/// Of the folder itself and of its components: what a model is read from, by name.
std::vector<fs::path> files_of(const fs::path& folder) {
  std::vector<fs::path> files = {folder / "model_index.json"};
  for (const char* component :
       {"scheduler", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "transformer", "vae"}) {
    std::error_code absent;
    for (const auto& entry : fs::directory_iterator(folder / component, absent))
      if (entry.is_regular_file(absent)) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

std::string model_identity(const ModelFolder& folder) {
  std::string all;
  for (const fs::path& file : files_of(folder.path)) {
    const std::string bytes = sampled(file);
    all += fs::relative(file, folder.path).string() + " " + std::to_string(fs::file_size(file)) + " " +
           c10::sha1(bytes).str() + "\n";
  }
  return c10::sha1(all).str();
}

}  // namespace flux
