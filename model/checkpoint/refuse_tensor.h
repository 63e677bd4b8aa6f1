#pragma once

#include <string>

#include "model/checkpoint/tensor_source.h"
#include "model/files/printable.h"
#include "parallel/rank/errors.h"

namespace flux {

/// Throws Invalid("FILE: tensor 'NAME' WHAT").
[[noreturn]] inline void refuse_tensor(const TensorInfo& tensor, const std::string& what) {
  throw Invalid(*tensor.file + ": tensor " + quoted_name(tensor.name) + " " + what);
}

}  // namespace flux
