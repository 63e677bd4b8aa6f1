#pragma once

#include <filesystem>
#include <string>

#include "model/request.h"

namespace flux {

/// The parameters of a picture as AUTOMATIC1111 writes them under the key `parameters`, which most picture tools read.
/// `model`: its name.
std::string infotext(const Prompt& prompt, const std::string& model);

/// What people call the model of this folder: its id where the folder is a snapshot of the Hugging Face cache, else the
/// folder's name.
std::string model_name(const std::filesystem::path& folder);

}  // namespace flux
