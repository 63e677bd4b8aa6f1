#include "model/kernels/quantize_rows.h"

#include <limits>

#include "built_with.h"

#if FLUX_CUDA
#include "model/kernels/quantize_rows_launch.h"
#endif

namespace flux {

void quantize_rows_aten(const at::Tensor& x, const Activation& out) {
  if (x.size(0) == 0) return;
  const auto rows = x.to(at::kFloat).reshape({-1, x.size(-1)});
  const auto largest = rows.abs().amax(1);
  const bool integers = out.values.scalar_type() == at::kChar;
  const double largest_code = integers ? 127 : 448;
  const auto most = at::full_like(largest, largest_code);  // a tensor: by a scalar ATen divides through its reciprocal
  out.scales.copy_(largest / most);
  const auto inverse = at::where(largest == 0, 0, (most / largest).clamp_max(std::numeric_limits<float>::max()));
  const auto scaled = rows * inverse.unsqueeze(1);
  out.values.copy_((integers ? scaled.round().nan_to_num(0) : scaled).clamp(-largest_code, largest_code));
}

void quantize_rows(const at::Tensor& x, const Activation& out) {
#if FLUX_CUDA
  if (x.is_cuda()) return launch_rows(launch_quantize_rows, x, out);
#endif
  quantize_rows_aten(x, out);
}

}  // namespace flux
