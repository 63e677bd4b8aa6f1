#pragma once

#include <filesystem>
#include <memory>

#include "model/checkpoint/tensor_source.h"

namespace flux {

/// The safetensors of one component (`transformer`, `vae`, `text_encoder`, `text_encoder_2`) of a diffusers folder:
/// one file, or several with an index or without. Headers are read and checked here, data later. Throws Invalid.
std::shared_ptr<const TensorSource> open_component(const std::filesystem::path& folder);

}  // namespace flux
