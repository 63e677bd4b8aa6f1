#pragma once

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <string>

#include "model/checkpoint/component.h"

namespace flux {

/// A tensor as it is stored.
inline at::Tensor stored(const TensorSource& source, const std::string& name) {
  const auto* info = source.find(name);
  if (info == nullptr) throw std::runtime_error("the reference has no " + name);
  const auto tensor = at::empty(info->shape, at::TensorOptions(info->dtype));
  source.read(*info, 0, tensor);
  return tensor;
}

inline nlohmann::json json(const std::filesystem::path& file) { return nlohmann::json::parse(std::ifstream(file)); }

/// The largest difference, of the largest expected value.
inline double relative_to_largest(const at::Tensor& value, const at::Tensor& expected) {
  TORCH_CHECK(value.sizes() == expected.sizes(), "shapes ", value.sizes(), " and ", expected.sizes());
  return ((value - expected).abs().max() / expected.abs().max()).item<double>();
}

/// Root mean square of the difference, of the expected values.
inline double relative_rms(const at::Tensor& value, const at::Tensor& expected) {
  TORCH_CHECK(value.sizes() == expected.sizes(), "shapes ", value.sizes(), " and ", expected.sizes());
  const auto difference = value.to(at::kDouble) - expected;
  return (difference.square().mean() / expected.to(at::kDouble).square().mean()).sqrt().item<double>();
}

}  // namespace flux
