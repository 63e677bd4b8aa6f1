#pragma once

#include <string>
#include <utility>
#include <vector>

#include "model/request.h"

namespace flux {

/// The picture as a PNG file, with UTF-8 texts by key (iTXt). Zero bytes in texts become spaces.
std::string png(const Image& image, const std::vector<std::pair<std::string, std::string>>& texts);

}  // namespace flux
