#pragma once

namespace flux {

/// CUDA libraries round fp32 inputs to TF32 and sum 16-bit products in 16 bit where they are allowed to. This forbids
/// it for the whole process; call it before any stage is built.
void demand_full_precision();

}  // namespace flux
