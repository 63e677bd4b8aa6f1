#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace flux {

/// Where models downloaded by Hugging Face's tools lie: HF_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub,
/// ~/.cache/huggingface/hub, the first that is set.
std::filesystem::path hugging_face_cache();

/// `organisation/name`
bool is_model_id(const std::string& model);

/// The model's snapshot in the cache: of a branch, a tag or a commit, or, without a revision, of the main branch; where
/// nothing says which commit that is, the only snapshot there. Throws Invalid that says how to download it.
std::filesystem::path cached_model(const std::string& id, const std::optional<std::string>& revision);

}  // namespace flux
