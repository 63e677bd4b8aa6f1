#include "model/transformer/rotary.h"

#include <vector>

namespace flux {

namespace {

/// [text tokens + rows * columns], fp64: 0 for text, then the picture's positions along one axis.
at::Tensor with_text(int64_t text_tokens, const at::Tensor& positions) {
  return at::cat({at::zeros({text_tokens}, at::kDouble), positions.to(at::kDouble).flatten()});
}

}  // namespace

Rotary rotary(const std::array<int64_t, 3>& axes_dims_rope, int64_t text_tokens, const Picture& picture) {
  const int64_t rows = picture.rows();
  const int64_t columns = picture.columns();
  const std::array<at::Tensor, 3> positions = {
      with_text(text_tokens, at::zeros({rows, columns})),
      with_text(text_tokens, at::arange(rows).unsqueeze(1).expand({rows, columns})),
      with_text(text_tokens, at::arange(columns).unsqueeze(0).expand({rows, columns}))};

  std::vector<at::Tensor> angles;
  for (size_t axis = 0; axis < positions.size(); ++axis) {
    const int64_t dim = axes_dims_rope[axis];
    const auto frequencies = 1.0 / at::pow(10000.0, at::arange(0, dim, 2, at::kDouble) / dim);
    angles.push_back(at::outer(positions[axis], frequencies));
  }
  const auto joint = at::cat(angles, 1);
  return {joint.cos().to(at::kFloat), joint.sin().to(at::kFloat)};
}

}  // namespace flux
