#pragma once

#include <cuda_fp8.h>

#include "model/kernels/attention_code_scale.h"
#include "model/kernels/vector.cuh"

namespace flux {

/// e4m3, of which none stands for a value that is too large or not finite (attention_codes.h).
struct AttentionCode {
  __nv_fp8_storage_t bits;
};

/// The card's instruction, which rounds two at once, takes what is too large for the largest code.
template <typename T, int N>
__device__ void convert(const Vector<T, N>& values, Vector<AttentionCode, N>& codes) {
  constexpr float rounds_to_largest = 464;
  float scaled[N];
  bool fit = true;
#pragma unroll
  for (int i = 0; i < N; ++i) {
    scaled[i] = static_cast<float>(values.values[i]) * attention_code_scale;
    fit = fit && fabsf(scaled[i]) <= rounds_to_largest;
  }
#pragma unroll
  for (int i = 0; i < N; i += 2) {
    const float next = i + 1 < N ? scaled[i + 1] : 0;
    const __nv_fp8x2_storage_t both = __nv_cvt_float2_to_fp8x2({scaled[i], next}, __NV_SATFINITE, __NV_E4M3);
    codes.values[i].bits = static_cast<__nv_fp8_storage_t>(both);
    if (i + 1 < N) codes.values[i + 1].bits = static_cast<__nv_fp8_storage_t>(both >> 8);
  }
  if (fit) return;
#pragma unroll
  for (int i = 0; i < N; ++i)
    if (!(fabsf(scaled[i]) <= rounds_to_largest)) codes.values[i].bits = signbit(scaled[i]) ? 0xff : 0x7f;
}

template <typename T, int N>
__device__ void convert(const Vector<AttentionCode, N>& codes, Vector<T, N>& values) {
#pragma unroll
  for (int i = 0; i < N; ++i) {
    __nv_fp8_e4m3 widened;
    widened.__x = codes.values[i].bits;
    values.values[i] = static_cast<T>(static_cast<float>(widened) / attention_code_scale);
  }
}

}  // namespace flux
