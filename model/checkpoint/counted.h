#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "model/checkpoint/checkpoint.h"

namespace flux {

/// The same checkpoint, which adds to `bytes` what is read of its tensors, as they are stored.
Checkpoint counted(const Checkpoint& checkpoint, const std::shared_ptr<std::atomic<int64_t>>& bytes);

}  // namespace flux
