#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/checkpoint/expected_tensors.h"
#include "model/checkpoint/tensor_source.h"

namespace flux {

/// Names and shapes without values: modules built over it hold meta tensors. `where` is for messages.
std::shared_ptr<const TensorSource> shapes_only_source(const std::vector<ExpectedTensor>& tensors,
                                                       const std::string& where);

/// bf16 values that depend on tensor name, position and seed alone. Matrices and convolutions are uniform with the
/// variance 1 / inputs, so that activations keep their size; norm weights lie around 1, biases around 0.
std::shared_ptr<const TensorSource> random_source(const std::vector<ExpectedTensor>& tensors, const std::string& where,
                                                  uint64_t seed);

}  // namespace flux
