#pragma once

#include <ATen/ATen.h>

#include "model/linear/epilogue.h"

namespace flux {

/// out = epilogue(x weight^T + bias) on a card by cuBLASLt, queued on ATen's current stream. x: [rows, in], weight:
/// [out, in], both fp16 or bf16; out: [rows, out] of that dtype or fp32; rows may be strided. bias: [out] of out's
/// dtype, or undefined. Sums are fp32 and run over `in` in one go, so that no result depends on how many rows there
/// are: tests/model/linear/cublas_lt_gpu_test.cc holds every product of the transformer to it.
void cublas_lt_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& out,
                      Epilogue epilogue);

}  // namespace flux
