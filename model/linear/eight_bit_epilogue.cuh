#pragma once

#include <cuda_runtime.h>
#include <cutlass/bfloat16.h>
#include <cutlass/half.h>

#include <type_traits>

#include "model/linear/eight_bit_product_cuda.h"

namespace flux {

/// v / 2 (1 + tanh(sqrt(2 / pi) (v + 0.044715 v^3))), by the tanh that a card has an instruction for: off by 2^-11.
__device__ inline float tanh_gelu(float v) {
  constexpr float of_v = 0.7978845608028654F, of_cube = of_v * 0.044715F;
  float tanh;
  asm("tanh.approx.f32 %0, %1;" : "=f"(tanh) : "f"(__fmul_rn(v, __fmaf_rn(of_cube, __fmul_rn(v, v), of_v))));
  const float half = __fmul_rn(0.5F, v);
  return __fmaf_rn(half, tanh, half);
}

template <bool gelu>
struct ScaledEpilogue {
  /// The node of an epilogue's visitor tree. Values: cutlass::Array of float.
  template <typename Values>
  struct Node {
    __device__ Values operator()(const Values& sums, const Values& weight_scales, const Values& x_scales,
                                 const Values& biases) const {
      Values y;
#pragma unroll
      for (int i = 0; i < static_cast<int>(Values::kElements); ++i) {
        const float v = __fmaf_rn(x_scales[i], __fmul_rn(weight_scales[i], sums[i]), biases[i]);
        y[i] = gelu ? tanh_gelu(v) : v;
      }
      return y;
    }
  };
};

/// `launch` with a value of y's type and, as a type, whether there is a GELU.
template <typename Launch>
cudaError_t with_epilogue(const EightBitProductOnDevice& product, const Launch& launch) {
  const auto of = [&](auto type) {
    return product.gelu ? launch(type, std::true_type{}) : launch(type, std::false_type{});
  };
  switch (product.precision) {
    case Precision::bf16:
      return of(cutlass::bfloat16_t{});
    case Precision::fp16:
      return of(cutlass::half_t{});
    case Precision::fp32:
      return product.gelu ? cudaErrorInvalidValue : launch(float{}, std::false_type{});
  }
  return cudaErrorInvalidValue;
}

}  // namespace flux
