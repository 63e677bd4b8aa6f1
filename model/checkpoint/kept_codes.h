#pragma once

// Matrices that flux-dist quantized (`flux-dist quantize`), as its products keep them. Beside config.json's
//   "quantization_config": {"quant_method": "flux-dist", "version": 1, "format": "int8",
//                           "modulation": "int8-weights", "rotation": "pi-hadamard-256"}
// (the rotation is model/kernels/rotation.h) NAME.weight is there as NAME.weight.codes and, of formats in
// 8 bits, .scales; of nf4 and fp4 .absmax and .nested.

#include <memory>

#include "model/checkpoint/tensor_source.h"
#include "model/config.h"

namespace flux {

/// A view of such a component. What a matrix is kept as is found, and not among names(); NAME.weight has its shape
/// [out, in], and no values that could be read. Throws Invalid naming file and tensor.
std::shared_ptr<const TensorSource> kept_codes_source(std::shared_ptr<const TensorSource> source,
                                                      const Quantization& quantization);

}  // namespace flux
