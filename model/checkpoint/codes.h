#pragma once

#include <ATen/ATen.h>

#include "model/checkpoint/tensor_source.h"

namespace flux {

/// Throws Invalid, naming `tensor`, where some of its codes are none that rounding gives: in e4m3 what is no number, in
/// int8 -128. `codes`: on the CPU, contiguous, some of the tensor.
void require_codes(const TensorInfo& tensor, const at::Tensor& codes);

}  // namespace flux
