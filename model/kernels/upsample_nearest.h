#pragma once

#include <ATen/ATen.h>

namespace flux {

/// Every pixel four times: [1, channels, h, w] to [1, channels, 2 h, 2 w], on a card channels last.
at::Tensor upsample_nearest(const at::Tensor& map);

}  // namespace flux
