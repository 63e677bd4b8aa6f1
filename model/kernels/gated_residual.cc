#include "model/kernels/gated_residual.h"

namespace flux {

void gated_residual(const at::Tensor& residual, const at::Tensor& gate, const at::Tensor& y) {
  const auto change = y.to(at::kFloat);
  if (residual.scalar_type() == at::kFloat) {
    residual.addcmul_(gate, change);
  } else {
    residual.copy_(at::addcmul(residual.to(at::kFloat), gate, change));
  }
}

}  // namespace flux
