#include "model/kernels/rotate_quantize.h"

#include "built_with.h"
#include "model/kernels/quantize_rows.h"
#include "model/kernels/rotation.h"

#if FLUX_CUDA
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "model/kernels/dispatch.h"
#include "model/kernels/rotate_quantize_cuda.h"
#endif

namespace flux {
namespace {

/// +-1 of the columns of a block, fp32.
at::Tensor signs_of(int64_t block) {
  const at::Tensor signs = at::empty({block}, at::kFloat);
  auto* values = signs.mutable_data_ptr<float>();
  for (int64_t c = 0; c < block; ++c) values[c] = (rotation_signs[c / 32] >> (c % 32) & 1) != 0 ? -1.0F : 1.0F;
  return signs;
}

/// x: [rows, width] fp32.
at::Tensor rotated(const at::Tensor& x) {
  const int64_t block = rotation_block(x.size(1));
  at::Tensor values = x.unflatten(1, {-1, block}) * signs_of(block).to(x.device());
  for (int64_t distance = 1; distance < block; distance *= 2) {
    const auto pairs = values.unflatten(2, {-1, 2, distance});
    const auto a = pairs.select(3, 0), b = pairs.select(3, 1);
    values = at::stack({a + b, a - b}, 3).flatten(2);
  }
  return values.flatten(1);
}

}  // namespace

void rotate_quantize_aten(const at::Tensor& x, const Activation& out) {
  quantize_rows_aten(rotated(x.to(at::kFloat)), out);
}

void rotate_quantize(const at::Tensor& x, const Activation& out) {
#if FLUX_CUDA
  if (x.is_cuda()) {
    TORCH_CHECK(x.stride(1) == 1 && out.values.is_contiguous(), "values of a row, and rows of codes, must be packed");
    const c10::cuda::CUDAGuard device(x.device());
    C10_CUDA_CHECK(launch_rotate_quantize({.x = x.const_data_ptr(),
                                           .precision = precision_of(x),
                                           .stride = x.stride(0),
                                           .codes = out.values.mutable_data_ptr<int8_t>(),
                                           .scales = out.scales.mutable_data_ptr<float>(),
                                           .rows = x.size(0),
                                           .width = x.size(1)},
                                          c10::cuda::getCurrentCUDAStream()));
    return;
  }
#endif
  rotate_quantize_aten(x, out);
}

Activation as_input(Format input, const at::Tensor& x) {
  if (input == Format::dense) return {x};
  const auto codes = at::empty(x.sizes(), x.options().dtype(at::kChar));
  const Activation quantized{codes, at::empty({x.size(0)}, x.options().dtype(at::kFloat))};
  rotate_quantize(x, quantized);
  return quantized;
}

}  // namespace flux
