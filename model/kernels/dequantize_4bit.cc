#include "model/kernels/dequantize_4bit.h"

#include <ATen/Parallel.h>

#include "built_with.h"

#if FLUX_CUDA
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "model/kernels/dequantize_4bit_cuda.h"
#include "model/kernels/dispatch.h"
#endif

namespace flux {
void dequantize_4bit_aten(const FourBit& from, Format format, int64_t first, const at::Tensor& out) {
  const std::array<float, 16>& values = codebook(format);
  const int64_t rows = out.size(0), width = out.size(1), blocks = width / FourBit::block;
  const at::Tensor kept = from.absmax.narrow(0, first, rows);
  const at::Tensor absmax = from.is_nested() ? widened_absmax(kept, first * blocks, from) : kept;
  const at::Tensor codes = from.codes.narrow(0, first, rows), wide = at::empty({rows, width}, at::kFloat);
  const auto* byte = codes.const_data_ptr<uint8_t>();
  const auto* scale = absmax.const_data_ptr<float>();
  auto* value = wide.mutable_data_ptr<float>();
  constexpr int64_t bytes_each = FourBit::block / 2, blocks_each = 1024;
  at::parallel_for(0, rows * blocks, blocks_each, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * bytes_each; i < end * bytes_each; ++i) {
      value[2 * i] = values[byte[i] >> 4] * scale[i / bytes_each];
      value[2 * i + 1] = values[byte[i] & 0xF] * scale[i / bytes_each];
    }
  });
  out.copy_(wide);
}

void dequantize_4bit(const FourBit& from, Format format, int64_t first, const at::Tensor& out) {
#if FLUX_CUDA
  if (out.is_cuda()) {
    TORCH_CHECK(from.codes.is_contiguous() && from.absmax.is_contiguous() && out.is_contiguous(),
                "rows must be packed");
    const int64_t width = out.size(1), blocks_before = first * (width / FourBit::block);
    Dequantize4bit arguments{.codes = from.codes.const_data_ptr<uint8_t>() + first * (width / 2),
                             .blocks_before = blocks_before,
                             .codebook = codebook(format),
                             .out = out.data_ptr(),
                             .precision = precision_of(out),
                             .rows = out.size(0),
                             .width = width};
    if (from.is_nested()) {
      arguments.nested = from.absmax.const_data_ptr<uint8_t>() + blocks_before;
      arguments.offset = from.offset().const_data_ptr<float>();
      arguments.map = from.map().const_data_ptr<float>();
      arguments.map_absmax = from.nested_absmax().const_data_ptr<float>();
    } else {
      arguments.absmax = from.absmax.const_data_ptr<float>() + blocks_before;
    }
    const c10::cuda::CUDAGuard device(out.device());
    C10_CUDA_CHECK(launch_dequantize_4bit(arguments, c10::cuda::getCurrentCUDAStream()));
    return;
  }
#endif
  dequantize_4bit_aten(from, format, first, out);
}

}  // namespace flux
