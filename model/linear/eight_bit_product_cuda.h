#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "model/kernels/compiled_code_cuda.h"
#include "model/kernels/precision.h"

namespace flux {

/// Device memory of a product of codes. Rows of x and weight are packed. `in` is a multiple of 16 and `out` of 8; all
/// pointers but x_scales, and rows of y, are aligned to 16 bytes.
struct EightBitProductOnDevice {
  EightBit codes;              // of x and weight
  const void* x;               // [rows, in]
  const float* x_scales;       // [rows]
  const void* weight;          // [out, in]
  const float* weight_scales;  // [out]
  const float* bias;           // [out]; zeros where there is none
  void* y;                     // [rows, out], of `precision`
  Precision precision;
  int64_t y_stride;  // elements between rows of y
  int64_t rows, out, in;
  bool gelu;  // the tanh approximation; not with fp32
};

/// y = epilogue(fma(x_scale, weight_scale * float(sum), bias)), rounded once to y's precision; queued on the stream.
/// Sums of int8 are exact in int32, so neither tile nor number of rows changes a bit; those of e4m3 are fp32 that
/// tensor cores add from the first column to the last, whatever the number of rows. architecture: 75, 80 or 90 of int8,
/// 89 or 90 of e4m3, whose kernel runs. A card runs those of its own and older architectures, but 90's only on 9.0.
/// cudaErrorNotSupported: this build has none of that architecture for this card.
cudaError_t launch_eight_bit_product(const EightBitProductOnDevice& product, int architecture, cudaStream_t stream);

/// The architecture whose kernel is the fastest of those that a card runs of this build; 0 where there is none, which
/// is so of e4m3 in code that was compiled for cards before Ada.
int eight_bit_architecture(EightBit codes, const CompiledCode& code);

}  // namespace flux
