#include "model/kernels/llm_int8.h"

#include "built_with.h"
#include "model/kernels/outlier_threshold.h"

#if FLUX_CUDA
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "model/kernels/dispatch.h"
#include "model/kernels/llm_int8_cuda.h"
#endif

namespace flux {

at::Tensor outlier_columns_aten(const at::Tensor& x) {
  const auto below = x.to(at::kHalf).abs() < outlier_threshold;  // which what is no number is not
  return below.all(0).logical_not().to(at::kByte);
}

void quantize_inliers_aten(const at::Tensor& x, const at::Tensor& columns, const Activation& out) {
  if (x.size(0) == 0) return;
  const auto rows = x.to(at::kHalf).to(at::kFloat), sizes = rows.abs();
  const auto largest = (columns.defined() ? at::where(sizes < outlier_threshold, sizes, 0) : sizes).amax(1);
  out.scales.copy_(largest / at::full_like(largest, 127));  // by a scalar ATen divides through its reciprocal
  const auto inverse = largest.reciprocal() * 127;          // as torch divides 127 by a tensor
  out.values.copy_((rows * inverse.unsqueeze(1)).round().nan_to_num(0).clamp(-127, 127));
  if (columns.defined()) at::Tensor(out.values).masked_fill_(columns.to(at::kBool), 0);
}

#if FLUX_CUDA
namespace {

LlmInt8 on_device(const at::Tensor& x, const at::Tensor& columns) {
  TORCH_CHECK(x.stride(1) == 1, "values of a row lie one after another");
  return {.x = x.const_data_ptr(),
          .precision = precision_of(x),
          .stride = x.stride(0),
          .rows = x.size(0),
          .width = x.size(1),
          .columns = columns.defined() ? columns.data_ptr<uint8_t>() : nullptr};
}

}  // namespace
#endif

at::Tensor outlier_columns(const at::Tensor& x) {
#if FLUX_CUDA
  if (x.is_cuda()) {
    const c10::cuda::CUDAGuard device(x.device());
    const at::Tensor columns = at::zeros({x.size(1)}, x.options().dtype(at::kByte));
    C10_CUDA_CHECK(launch_outlier_columns(on_device(x, columns), c10::cuda::getCurrentCUDAStream()));
    return columns;
  }
#endif
  return outlier_columns_aten(x);
}

void quantize_inliers(const at::Tensor& x, const at::Tensor& columns, const Activation& out) {
#if FLUX_CUDA
  if (x.is_cuda()) {
    const c10::cuda::CUDAGuard device(x.device());
    TORCH_CHECK(rows_together(x, out) == 1);
    C10_CUDA_CHECK(launch_quantize_inliers(on_device(x, columns), out.values.data_ptr<int8_t>(),
                                           out.scales.data_ptr<float>(), c10::cuda::getCurrentCUDAStream()));
    return;
  }
#endif
  quantize_inliers_aten(x, columns, out);
}

}  // namespace flux
