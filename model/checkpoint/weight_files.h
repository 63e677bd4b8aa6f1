#pragma once

#include <filesystem>
#include <vector>

namespace flux {

/// Where a component's tensors lie: an index and the files beside it that it names, or the files themselves.
struct WeightFiles {
  std::filesystem::path index;  // empty: there is none
  std::vector<std::filesystem::path> files;
};

/// The safetensors of a component's folder under the names that diffusers and transformers give them, in the order in
/// which they look: with an index, as one file, as numbered shards whose index is lost; then the 16 bit variants, of
/// which a folder without the plain files may hold one. Throws Invalid for none, several, or a shard that is missing.
WeightFiles find_weight_files(const std::filesystem::path& folder);

}  // namespace flux
