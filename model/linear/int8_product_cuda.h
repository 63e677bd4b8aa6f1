#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "model/kernels/precision.h"

namespace flux {

/// Device memory of an int8 product. Rows of x and weight are packed. `in` is a multiple of 16 and `out` of 8; all
/// pointers but x_scales, and rows of y, are aligned to 16 bytes.
struct Int8ProductOnDevice {
  const int8_t* x;             // [rows, in]
  const float* x_scales;       // [rows]
  const int8_t* weight;        // [out, in]
  const float* weight_scales;  // [out]
  const float* bias;           // [out]; zeros where there is none
  void* y;                     // [rows, out], of `precision`
  Precision precision;
  int64_t y_stride;  // elements between rows of y
  int64_t rows, out, in;
  bool gelu;  // the tanh approximation; not with fp32
};

/// y = epilogue(fma(x_scale, weight_scale * float(sum), bias)), sums in int32, rounded once to y's precision; queued on
/// the stream. Sums of integers are exact, so neither tile nor number of rows changes a bit.
/// architecture: 75, 80 or 90, whose kernel runs. A card runs those of its own and older architectures, but 90's only
/// on 9.0. cudaErrorNotSupported: this build has none of that architecture for this card.
cudaError_t launch_int8_product(const Int8ProductOnDevice& product, int architecture, cudaStream_t stream);

/// The architecture whose kernel is the fastest that this build has for a card of this compute capability (89).
int int8_architecture(int capability);

}  // namespace flux
