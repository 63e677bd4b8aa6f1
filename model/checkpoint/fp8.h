#pragma once

// Files in fp8, which nothing but the dtype of their tensors tells from others. Plain ones were converted and nothing
// else: a tensor in F8_E4M3 means its own values. In scaled ones NAME.weight is multiplied with what lies beside it:
// NAME.scale_weight, as ComfyUI writes them, or NAME.weight_scale, one number or one a row.

#include <memory>

#include "model/checkpoint/tensor_source.h"

namespace flux {

/// Whether anything is stored in F8_E4M3.
bool holds_fp8(const TensorSource& source);

/// A view of such a component: each tensor in F8_E4M3 is there as its values, in fp32. Of what a matrix [out, in] is
/// kept as, unless that is dense, there are besides, not among names(): NAME.weight.codes F8_E4M3 [out, in], as the
/// file has them, and .scales fp32 [out]. Reads the scales, and checks them. Throws Invalid naming file and tensor.
std::shared_ptr<const TensorSource> fp8_source(std::shared_ptr<const TensorSource> source, Format kept);

}  // namespace flux
