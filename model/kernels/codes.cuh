#pragma once

#include <cuda_fp8.h>
#include <cuda_runtime_api.h>

#include <cfloat>
#include <cstdint>
#include <type_traits>

#include "model/kernels/precision.h"
#include "model/kernels/vector.cuh"

namespace flux {

/// The largest code of a type, which stands for a row's largest value.
template <typename Code>
constexpr float largest_code = std::is_same_v<Code, int8_t> ? 127 : 448;

/// What values of a row whose largest is `absmax` are multiplied with.
template <typename Code>
__device__ float inverse_scale(float absmax) {
  return absmax == 0 ? 0 : fminf(__fdiv_rn(largest_code<Code>, absmax), FLT_MAX);
}

/// Codes of values times `inverse`, halves to even. What is no number is none in e4m3, and anything in int8.
template <typename Code, int N>
__device__ Vector<Code, N> codes_of(const float (&values)[N], float inverse) {
  Vector<Code, N> codes;
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const float scaled = __fmul_rn(values[i], inverse);
    if constexpr (std::is_same_v<Code, int8_t>) {
      constexpr float in_units = 12'582'912;  // 1.5 2^23: a float of this size counts in units
      codes.values[i] = static_cast<int8_t>(__float_as_uint(__fadd_rn(scaled, in_units)));
    } else {
      codes.values[i] = Code(scaled);
    }
  }
  return codes;
}

/// `launch` with a value and a code of the C++ types.
template <typename Launch>
cudaError_t with_types(Precision precision, EightBit codes, const Launch& launch) {
  return with_type(precision, [&](auto type) {
    return codes == EightBit::int8 ? launch(type, int8_t{}) : launch(type, __nv_fp8_e4m3{});
  });
}

}  // namespace flux
