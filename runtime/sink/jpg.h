#pragma once

#include <string>

#include "model/request.h"

namespace flux {

/// The picture as a JPEG file of quality 95 without colour subsampling. `parameters` (UTF-8) becomes Exif's
/// UserComment, where picture tools look for it, and `comment` the file's comment; what is longer than a JPEG segment
/// (64 KiB) is cut.
std::string jpg(const Image& image, const std::string& parameters, const std::string& comment);

}  // namespace flux
