#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <string>
#include <vector>

#include "model/checkpoint/weights.h"
#include "model/config.h"
#include "model/linear/linear.h"
#include "model/transformer/qk_norm.h"
#include "model/transformer/scratch.h"

namespace flux {

/// The checkpoint's names of them.
struct ProjectionNames {
  std::string q, k, v, norm_q, norm_k;
};

/// Queries, keys and values of rows.normed, and the norms and the rotation of the first two. diffusers: FluxAttention.
class Projections {
 public:
  Projections(const Weights& attention, const TransformerConfig& config, const ProjectionNames& names);

  void queries(const TokenRows& rows) const;

  /// Of one of the parts in which they travel (rows.kv).
  void keys(const TokenRows& rows, size_t part) const;
  void values(const TokenRows& rows, size_t part) const;

 private:
  /// A linear, and again for each half of the heads.
  struct OfHeads {
    OfHeads(const Weights& weights, const std::string& name, const TransformerConfig& config);

    /// For one of so many parts.
    const Linear& of(size_t parts, size_t part) const { return parts == 1 ? all : halves[part]; }

    Linear all;
    std::vector<Linear> halves;
  };

  Linear q_;
  OfHeads k_, v_;
  QkNorm norm_q_, norm_k_;
};

}  // namespace flux
