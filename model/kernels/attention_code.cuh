#pragma once

#include <cuda_fp8.h>

#include "model/kernels/attention_code_scale.h"

namespace flux {

/// e4m3, of which none stands for a value that is too large or not finite (attention_codes.h).
struct AttentionCode {
  __nv_fp8_storage_t bits;
};

/// The card's instruction takes what is too large for the largest code.
template <typename T>
__device__ void convert(T value, AttentionCode& code) {
  constexpr float rounds_to_largest = 464;
  const float scaled = static_cast<float>(value) * attention_code_scale;
  code.bits = __nv_cvt_float_to_fp8(scaled, __NV_SATFINITE, __NV_E4M3);
  if (!(fabsf(scaled) <= rounds_to_largest)) code.bits = signbit(scaled) ? 0xff : 0x7f;
}

template <typename T>
__device__ void convert(AttentionCode code, T& value) {
  __nv_fp8_e4m3 widened;
  widened.__x = code.bits;
  value = static_cast<T>(static_cast<float>(widened) / attention_code_scale);
}

}  // namespace flux
