#pragma once

#include <ATen/ATen.h>

#include <string>

namespace flux {

/// As options, journals and reports have it: fp32, bf16, fp16; libtorch's name for another.
inline std::string dtype_name(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return "fp32";
    case at::kBFloat16:
      return "bf16";
    case at::kHalf:
      return "fp16";
    default:
      return c10::toString(dtype);
  }
}

}  // namespace flux
