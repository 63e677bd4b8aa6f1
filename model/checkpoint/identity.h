#pragma once

#include <string>

#include "model/config.h"

namespace flux {

/// 40 hex digits that tell this model from others: the SHA-1 of its files' names, sizes and contents, of large ones a
/// sample spread over the whole file, which another training or conversion changes. Reads some MiB. Throws Invalid.
std::string model_identity(const ModelFolder& folder);

}  // namespace flux
