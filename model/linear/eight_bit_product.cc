#include "model/linear/eight_bit_product.h"

#include <ATen/Parallel.h>

#include <cmath>

#include "built_with.h"
#include "model/kernels/quantize_operand.h"
#include "model/kernels/rotation.h"
#include "model/linear/eight_bit_weights_product.h"
#include "parallel/rank/errors.h"

#if FLUX_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>

#include "model/kernels/dispatch.h"
#include "model/linear/eight_bit_product_cuda.h"
#endif

namespace flux {
namespace {

constexpr int64_t kMultiple = 16;    // of columns: what a tensor core takes at once
constexpr int64_t kWidest = 16'384;  // what the kernel that rotates a row holds

#if FLUX_CUDA
/// For the current card.
int architecture_of(EightBit codes) {
  CompiledCode code;
  C10_CUDA_CHECK(compiled_code(&code));
  return eight_bit_architecture(codes, code);
}

/// The kernel's gelu is not as exact as fp32.
void launch(const Activation& x, const Activation& weight, const at::Tensor& bias, const at::Tensor& out, bool gelu) {
  const c10::cuda::CUDAGuard device(out.device());
  const EightBit codes = eight_bit_of(weight.values);
  C10_CUDA_CHECK(launch_eight_bit_product({.codes = codes,
                                           .x = x.values.const_data_ptr(),
                                           .x_scales = x.scales.const_data_ptr<float>(),
                                           .weight = weight.values.const_data_ptr(),
                                           .weight_scales = weight.scales.const_data_ptr<float>(),
                                           .bias = bias.const_data_ptr<float>(),
                                           .y = out.data_ptr(),
                                           .precision = precision_of(out),
                                           .y_stride = out.stride(0),
                                           .rows = x.rows(),
                                           .out = out.size(1),
                                           .in = x.values.size(1),
                                           .gelu = gelu},
                                          architecture_of(codes), at::cuda::getCurrentCUDAStream()));
}
#endif

void require_kernel_for([[maybe_unused]] const Activation& weight) {
#if FLUX_CUDA
  if (!weight.values.is_cuda()) return;
  const c10::cuda::CUDAGuard device(weight.values.device());
  if (architecture_of(eight_bit_of(weight.values)) == 0)
    throw Invalid(
        "this build has no products in fp8 for this card: build it where that card is, or for all of them with "
        "cmake -C .cmake/release.cmake");
#endif
}

}  // namespace

void require_eight_bit_width(const Matrix& matrix) {
  if (matrix.in % kMultiple != 0 || matrix.in > kWidest)
    throw Invalid(matrix.weights.full_name(matrix.parts.front()) + " has " + std::to_string(matrix.in) +
                  " inputs, and " + format_name(matrix.format()) + " takes multiples of " + std::to_string(kMultiple) +
                  " up to " + std::to_string(kWidest) + ": give --quantize none or int8-weights");
}

void read_eight_bit(const Weights& weights, const std::string& part, const Activation& to) {
  if (weights.quantized()) return read_stored_codes(weights, part, to);
  weights.each_block(part + ".weight", to.values.sizes(), [&](int64_t first, const at::Tensor& rows) {
    quantize_operand(rows, to.narrow(first, rows.size(0)));
  });
  if (to.values.scalar_type() == at::kChar) to.scales.div_(rotation_block(to.values.size(1)));  // a power of two
}

EightBitProduct::EightBitProduct(const Matrix& matrix) {
  require_eight_bit_width(matrix);
  const Weights& weights = matrix.weights;
  weight_ = {weights.memory({matrix.out, matrix.in}, code_dtype(matrix.format())),
             weights.memory({matrix.out}, at::kFloat)};
  require_kernel_for(weight_);
  matrix.each_part([&](const std::string& part, int64_t first, int64_t rows) {
    read_eight_bit(weights, part, weight_.narrow(first, rows));
  });
  bias_ = matrix.read_bias(at::kFloat);
  if (!bias_.defined()) bias_ = weights.memory({matrix.out}, at::kFloat).zero_();
}

void eight_bit_product_aten(const Activation& x, const Activation& weight, const at::Tensor& bias,
                            const at::Tensor& out, Epilogue epilogue) {
  // Of int8 exact in fp64, and a card has no such product of its own in ATen.
  const at::Tensor sums =
      at::mm(x.values.to(at::kDouble), weight.values.to(at::kDouble).t()).to(at::kFloat).cpu().contiguous();
  const at::Tensor y = at::empty(sums.sizes(), at::kFloat);
  const at::Tensor x_scales = x.scales.cpu(), weight_scales = weight.scales.cpu(), biases = bias.cpu();
  const int64_t columns = y.size(1);
  at::parallel_for(0, y.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* sum = sums.const_data_ptr<float>() + row * columns;
      float* values = y.mutable_data_ptr<float>() + row * columns;
      const float scale = x_scales.const_data_ptr<float>()[row];
      for (int64_t column = 0; column < columns; ++column)
        values[column] = std::fma(scale, weight_scales.const_data_ptr<float>()[column] * sum[column],
                                  biases.const_data_ptr<float>()[column]);
    }
  });
  out.copy_(epilogue == Epilogue::gelu ? at::gelu(y, "tanh") : y);
}

void EightBitProduct::operator()(const Activation& x, const at::Tensor& out, Epilogue epilogue) const {
  if (x.rows() == 0) return;
#if FLUX_CUDA
  if (out.is_cuda()) {
    const bool gelu = epilogue == Epilogue::gelu, apart = gelu && out.scalar_type() == at::kFloat;
    launch(x, weight_, bias_, out, gelu && !apart);
    at::Tensor y = out;  // ATen works in place on what is not const
    if (apart) at::gelu_(y, "tanh");
    return;
  }
#endif
  eight_bit_product_aten(x, weight_, bias_, out, epilogue);
}

std::unique_ptr<const Product> EightBitProduct::columns(int64_t first, int64_t count) const {
  return std::make_unique<EightBitProduct>(weight_.narrow(first, count), bias_.narrow(0, first, count));
}

}  // namespace flux
