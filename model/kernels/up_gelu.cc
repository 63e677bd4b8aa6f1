#include "model/kernels/up_gelu.h"

namespace flux {

void up_gelu(const Linear& up, const at::Tensor& x, const at::Tensor& hidden) {
  up(x, hidden);
  at::Tensor in_place = hidden;
  at::gelu_(in_place, "tanh");
}

}  // namespace flux
