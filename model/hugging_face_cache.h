#pragma once

#include <filesystem>
#include <string>

namespace flux {

/// Where models downloaded by Hugging Face's tools lie: HF_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub,
/// ~/.cache/huggingface/hub, the first that is set.
std::filesystem::path hugging_face_cache();

/// `organisation/name`
bool is_model_id(const std::string& model);

/// The snapshot of the model's main branch in the cache. Throws Invalid that says how to download it.
std::filesystem::path cached_model(const std::string& id);

}  // namespace flux
