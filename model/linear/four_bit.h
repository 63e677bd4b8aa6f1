#pragma once

#include <ATen/ATen.h>

#include <array>
#include <cstdint>

#include "model/format.h"

namespace flux {

/// Rows of 4-bit codes as bitsandbytes keeps them: value = entry of the codebook * absmax of its block, in fp32. The
/// absmax of a block are fp32, or codes themselves ("double quantisation"): map[code] * absmax of 256 of them + offset.
struct FourBit {
  static constexpr int64_t block = 64;          // values, along the rows
  static constexpr int64_t nested_block = 256;  // absmax, along all rows
  static constexpr int64_t map_size = 256;

  at::Tensor codes;     // uint8 [rows, width / 2]: two values a byte, the first in its upper half
  at::Tensor absmax;    // [rows, width / 64]: fp32, or uint8 where nested
  at::Tensor nested{};  // fp32 [1 + 256 + blocks of absmax]: the offset, the map, the absmax; or undefined

  bool is_nested() const { return nested.defined(); }
  at::Tensor offset() const { return nested.narrow(0, 0, 1); }
  at::Tensor map() const { return nested.narrow(0, 1, map_size); }
  at::Tensor nested_absmax() const { return nested.narrow(0, 1 + map_size, nested.size(0) - 1 - map_size); }

  /// Of nested.
  static int64_t nested_size(int64_t blocks) { return 1 + map_size + (blocks + nested_block - 1) / nested_block; }
};

/// The values that codes of nf4 or fp4 stand for, by code.
const std::array<float, 16>& codebook(Format format);

/// bitsandbytes' 8-bit dynamic map, ascending: [256] fp32 on the CPU.
at::Tensor dynamic_map();

/// bitsandbytes.functional.quantize_4bit of blocks of 64, bit for bit, on any device. rows: [rows, width] of any
/// floating dtype; codes: uint8 [rows, width / 2]; absmax: fp32 [rows, width / 64].
void quantize_4bit(const at::Tensor& rows, Format format, const at::Tensor& codes, const at::Tensor& absmax);

/// Its double quantisation of a whole matrix' absmax into out.absmax and out.nested, as on a CPU with one thread.
void quantize_absmax(const at::Tensor& absmax, const FourBit& out);

/// fp32 absmax of blocks that follow each other. codes: uint8, some of a matrix' absmax, which begin with its block
/// `first`; of: its nested.
at::Tensor widened_absmax(const at::Tensor& codes, int64_t first, const FourBit& of);

}  // namespace flux
