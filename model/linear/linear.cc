#include "model/linear/linear.h"

#include "model/kernels/quantize_operand.h"

namespace flux {

Linear::Linear(const Weights& weights, const std::vector<std::string>& parts, int64_t out, int64_t in, Bias bias)
    : out_(out),
      input_(input_of(Matrix{weights, parts, out, in, bias}.format())),
      product_(read_product({weights, parts, out, in, bias})) {}

void Linear::operator()(const Activation& x, const at::Tensor& out, Epilogue epilogue) const {
  (*product_)(x, out, epilogue);
}

at::Tensor Linear::operator()(const at::Tensor& x) const {
  const at::Tensor out = at::empty({x.size(0), out_}, x.options());
  (*this)(as_input(input_, x), out);
  return out;
}

}  // namespace flux
