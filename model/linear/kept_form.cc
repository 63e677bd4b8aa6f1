#include "model/linear/kept_form.h"

#include "model/kernels/quantize_operand.h"
#include "model/linear/eight_bit_product.h"
#include "model/linear/eight_bit_weights_product.h"
#include "model/linear/four_bit_product.h"

namespace flux {

std::vector<std::pair<std::string, at::Tensor>> kept_form(const Weights& weights, const std::string& part, int64_t rows,
                                                          int64_t in) {
  const Format format = weights.placing().store;
  TORCH_INTERNAL_ASSERT(format != Format::dense);
  if (is_four_bit(format)) {
    const FourBit kept = read_four_bit(weights, part, rows, in);
    return {{".codes", kept.codes}, {".absmax", kept.absmax}, {".nested", kept.nested}};
  }
  const Activation kept{weights.memory({rows, in}, code_dtype(format)), weights.memory({rows}, at::kFloat)};
  (input_of(format) == Format::dense ? read_eight_bit_weights : read_eight_bit)(weights, part, kept);
  return {{".codes", kept.values}, {".scales", kept.scales}};
}

}  // namespace flux
