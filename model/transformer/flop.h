#pragma once

#include <cstdint>

#include "model/config.h"

namespace flux {

/// Multiplications and additions of a step: of all blocks' products and attention, for `rows` of `tokens` in the joint
/// sequence.
inline double step_flop(const TransformerConfig& config, int64_t rows, int64_t tokens) {
  const auto d = static_cast<double>(config.hidden_size());
  const auto blocks = static_cast<double>(config.num_layers + config.num_single_layers);
  return blocks * static_cast<double>(rows) * d * (2 * 12 * d + 4 * static_cast<double>(tokens));
}

}  // namespace flux
