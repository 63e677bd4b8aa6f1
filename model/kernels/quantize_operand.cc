#include "model/kernels/quantize_operand.h"

#include "built_with.h"
#include "model/kernels/quantize_rows.h"
#include "model/kernels/rotation.h"

#if FLUX_CUDA
#include "model/kernels/quantize_rows_launch.h"
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

void quantize_operand_aten(const at::Tensor& x, const Activation& out) {
  const bool rotates = out.values.scalar_type() == at::kChar;
  quantize_rows_aten(rotates ? rotated(x.to(at::kFloat)) : x, out);
}

void quantize_operand(const at::Tensor& x, const Activation& out) {
#if FLUX_CUDA
  if (x.is_cuda()) return launch_rows(launch_quantize_operand, x, out);
#endif
  quantize_operand_aten(x, out);
}

at::ScalarType code_dtype(Format format) {
  if (format == Format::fp8 || format == Format::fp8_weights) return at::kFloat8_e4m3fn;
  TORCH_INTERNAL_ASSERT(format == Format::int8 || format == Format::int8_weights || format == Format::int8_outliers);
  return at::kChar;
}

Activation as_input(Format input, const at::Tensor& x) {
  if (input == Format::dense) return {x};
  const auto codes = at::empty(x.sizes(), x.options().dtype(code_dtype(input)));
  const Activation quantized{codes, at::empty({x.size(0)}, x.options().dtype(at::kFloat))};
  quantize_operand(x, quantized);
  return quantized;
}

}  // namespace flux
