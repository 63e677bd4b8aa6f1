#pragma once

// Matrices that bitsandbytes quantised, as transformers and diffusers write them: in 4 bits NAME.weight holds packed
// codes beside NAME.weight.absmax, .quant_map, .quant_state.bitsandbytes__nf4 (JSON) and, of double quantisation,
// .nested_absmax and .nested_quant_map; in 8 bits NAME.weight holds int8 codes beside NAME.SCB, 127 times their scales.

#include <memory>

#include "model/checkpoint/tensor_source.h"
#include "model/config.h"

namespace flux {

/// A view of such a component, which must hold what its config says. NAME.weight is then the matrix [out, in] in fp32.
/// Of what it is kept as there are besides, not among names():
/// - 4 bits: NAME.weight.codes uint8 [out, in / 2], .absmax [out, in / 64] and, where nested, .nested, as FourBit has
/// them.
/// - 8 bits: NAME.weight.codes int8 [out, in], .scales fp32 [out].
/// Reads all that is small, and checks it. Throws Invalid naming file and tensor.
std::shared_ptr<const TensorSource> bitsandbytes_source(std::shared_ptr<const TensorSource> source,
                                                        const Quantization& quantization);

/// The object within a quant_state: what it says of a matrix in 4 bits. `where` is for messages: file and tensor.
struct QuantState {
  int64_t rows = 0, width = 0;
  float offset = 0;  // where nested
};

/// Throws Invalid: not the object that bitsandbytes writes, or not as `quantization` says.
QuantState parse_quant_state(std::string_view json, const Quantization& quantization, const std::string& where);

}  // namespace flux
