#pragma once

#include <functional>
#include <memory>
#include <string>

#include "model/checkpoint/tensor_source.h"

namespace flux {

/// The source's tensors under other names. `new_name` maps different names to different names.
std::shared_ptr<const TensorSource> renamed(std::shared_ptr<const TensorSource> source,
                                            const std::function<std::string(const std::string&)>& new_name);

}  // namespace flux
