#pragma once

#include "model/linear/product.h"

namespace flux {

/// W8A8. Weight and activations are rotated and rounded alike (rotate_quantize.h), the sums are integers, and
/// out = epilogue(fma(scale of x's row, scale of the weight's row * sum, bias)) in fp32. On a card one kernel
/// (int8_product_cuda.h), which the arithmetic here defines bit for bit but for the gelu.
class Int8Product : public Product {
 public:
  explicit Int8Product(const Matrix& matrix);

  void operator()(const Activation& x, const at::Tensor& out, Epilogue epilogue) const override;

 private:
  Activation weight_;  // [out, in], its scales divided by the rotation's block: both sides are not normalised
  at::Tensor bias_;    // [out] fp32, zeros where there is none
};

/// `part`.weight as int8 keeps it, out of a file that has it so or quantized here. to: [rows, in], its scales divided
/// by the rotation's block.
void read_int8(const Weights& weights, const std::string& part, const Activation& to);

/// As above, by the arithmetic of a CPU. weight.scales: divided by the block. bias: [out] fp32.
void int8_product_aten(const Activation& x, const Activation& weight, const at::Tensor& bias, const at::Tensor& out,
                       Epilogue epilogue);

}  // namespace flux
