#pragma once

#include <cstdint>

#include "model/config.h"

namespace flux {

/// Columns of a modulation table [steps, n]: for each double block img's 6 d then txt's 6 d (shift, scale, gate of
/// attention, then of the MLP), for each single block 3 d (shift, scale, gate), last norm_out's 2 d (scale, shift).
struct ModulationLayout {
  explicit ModulationLayout(const TransformerConfig& config)
      : d(config.hidden_size()), doubles(config.num_layers), singles(config.num_single_layers) {}

  int64_t img(int64_t block) const { return 12 * d * block; }
  int64_t txt(int64_t block) const { return 12 * d * block + 6 * d; }
  int64_t single(int64_t block) const { return 12 * d * doubles + 3 * d * block; }
  int64_t norm_out() const { return 12 * d * doubles + 3 * d * singles; }
  int64_t size() const { return norm_out() + 2 * d; }

  int64_t d, doubles, singles;
};

}  // namespace flux
