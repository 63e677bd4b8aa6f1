#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "model/kernels/precision.h"

namespace flux {

/// Device memory [sizes..., width] of which the last dimension is packed.
struct ValuesAndCodes {
  const void* from;
  void* to;
  Precision precision;  // of the values
  int64_t width;        // of both, as sizes
  int64_t sizes[3]{};
  int64_t from_strides[3]{}, to_strides[3]{};  // elements
};

/// attention_codes (see attention_codes.h) queued on the stream: values to codes, or codes to values.
cudaError_t launch_to_attention_codes(const ValuesAndCodes& rows, cudaStream_t stream);
cudaError_t launch_from_attention_codes(const ValuesAndCodes& rows, cudaStream_t stream);

}  // namespace flux
