#pragma once

#include <ATen/ATen.h>

namespace flux {

/// Throws Invalid where this build holds no code that a card runs, and says how to build it. Nothing for a CPU.
void require_code_for(at::Device device);

}  // namespace flux
