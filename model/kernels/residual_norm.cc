#include "model/kernels/residual_norm.h"

#include "built_with.h"
#include "model/kernels/quantize_operand.h"

#if FLUX_CUDA
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "model/kernels/dispatch.h"
#include "model/kernels/residual_norm_cuda.h"
#endif

namespace flux {

void modulated_norm_aten(const at::Tensor& x, const ShiftScale& modulation, const Activation& out) {
  const auto norm = at::layer_norm(x.to(at::kFloat), {x.size(-1)}, 1 + modulation.scale, modulation.shift, 1e-6);
  if (out.quantized())
    quantize_operand_aten(norm, out);
  else
    out.values.copy_(norm);
}

void add_and_norm_aten(const at::Tensor& residual, const at::Tensor& gate, const at::Tensor& y,
                       const ShiftScale& modulation, const Activation& out) {
  residual.copy_(at::addcmul(residual.to(at::kFloat), gate, y.to(at::kFloat)));
  modulated_norm_aten(residual, modulation, out);
}

#if FLUX_CUDA
namespace {

void residual_norm_cuda(const at::Tensor& residual, const ShiftScale& modulation, const Activation& out,
                        const at::Tensor* gate = nullptr, const at::Tensor* y = nullptr) {
  TORCH_CHECK(residual.is_contiguous() && out.values.is_contiguous() && (y == nullptr || y->is_contiguous()),
              "rows must be packed");
  TORCH_CHECK(y == nullptr || y->scalar_type() == residual.scalar_type(), "a branch has the residual's dtype");
  TORCH_CHECK(
      residual.scalar_type() == at::kFloat || out.quantized() || residual.scalar_type() == out.values.scalar_type(),
      "a residual is fp32 or of the compute dtype");
  const c10::cuda::CUDAGuard device(residual.device());
  C10_CUDA_CHECK(launch_residual_norm({.residual = residual.data_ptr(),
                                       .y = y == nullptr ? nullptr : y->const_data_ptr(),
                                       .gate = gate == nullptr ? nullptr : gate->const_data_ptr<float>(),
                                       .shift = modulation.shift.const_data_ptr<float>(),
                                       .scale = modulation.scale.const_data_ptr<float>(),
                                       .out = out.values.data_ptr(),
                                       .out_scales = out.quantized() ? out.scales.data_ptr<float>() : nullptr,
                                       .code = out.quantized() ? eight_bit_of(out.values) : EightBit::int8,
                                       .residual_precision = precision_of(residual),
                                       .out_precision = precision_of(out.quantized() ? residual : out.values),
                                       .rows = residual.size(0),
                                       .d = residual.size(1)},
                                      c10::cuda::getCurrentCUDAStream()));
}

}  // namespace
#endif

void modulated_norm(const at::Tensor& x, const ShiftScale& modulation, const Activation& out) {
#if FLUX_CUDA
  if (x.is_cuda()) return residual_norm_cuda(x, modulation, out);
#endif
  modulated_norm_aten(x, modulation, out);
}

void add_and_norm(const at::Tensor& residual, const at::Tensor& gate, const at::Tensor& y, const ShiftScale& modulation,
                  const Activation& out) {
#if FLUX_CUDA
  if (residual.is_cuda()) return residual_norm_cuda(residual, modulation, out, &gate, &y);
#endif
  add_and_norm_aten(residual, gate, y, modulation, out);
}

}  // namespace flux
