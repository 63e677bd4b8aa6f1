#pragma once

#include <ATen/ATen.h>

#include <memory>

#include "parallel/nccl/handle.h"

namespace flux {

/// Memory of a card that every rank's card can reach, where cards reach each other: gathers within it are then made by
/// copy engines, and take nothing from the kernels that run meanwhile. Elsewhere it is memory like any other.
/// Collective, the same sizes on every rank. It is given back with the last tensor over it, before or after the
/// handle's other owners are gone.
at::Tensor nccl_memory(std::shared_ptr<NcclHandle> nccl, at::IntArrayRef sizes, at::TensorOptions options);

}  // namespace flux
