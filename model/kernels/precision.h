#pragma once

namespace flux {

/// The dtypes that kernels compute in.
enum class Precision { fp32, bf16, fp16 };

}  // namespace flux
