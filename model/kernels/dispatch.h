#pragma once

#include <ATen/ATen.h>

#include "model/kernels/precision.h"

namespace flux {

/// Of a tensor that a kernel takes.
inline Precision precision_of(const at::Tensor& x) {
  if (x.scalar_type() == at::kFloat) return Precision::fp32;
  if (x.scalar_type() == at::kBFloat16) return Precision::bf16;
  TORCH_CHECK(x.scalar_type() == at::kHalf, "no kernel for ", x.scalar_type());
  return Precision::fp16;
}

}  // namespace flux
