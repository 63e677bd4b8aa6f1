#pragma once

namespace flux {

/// The dtypes that kernels compute in.
enum class Precision { fp32, bf16, fp16 };

/// The dtypes of codes of 8 bits: integers, or floats of 4 bits of exponent and 3 of mantissa (OCP's E4M3, finite
/// only).
enum class EightBit { int8, e4m3 };

}  // namespace flux
