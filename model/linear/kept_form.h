#pragma once

#include <ATen/ATen.h>

#include <string>
#include <utility>
#include <vector>

#include "model/checkpoint/weights.h"

namespace flux {

/// `part`.weight [rows, in] as its format's product keeps it, in the order of a file: what the name of each tensor ends
/// with (checkpoint/kept_codes.h), and its values, on the weights' device; of weights without values meta tensors. The
/// format is the placing's, not dense, and one that takes such a matrix, as a Linear of it has found.
std::vector<std::pair<std::string, at::Tensor>> kept_form(const Weights& weights, const std::string& part, int64_t rows,
                                                          int64_t in);

}  // namespace flux
