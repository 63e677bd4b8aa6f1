#pragma once

#include <memory>
#include <utility>

#include "model/linear/product.h"

namespace flux {

/// W8A8: int8 or fp8. Weight and activations are rounded alike (quantize_operand.h), and out = epilogue(fma(scale of
/// x's row, scale of the weight's row * sum, bias)) in fp32. On a card one kernel (eight_bit_product_cuda.h). Sums of
/// int8 are integers, so that the arithmetic here defines it bit for bit but for the gelu; those of fp8 a card rounds
/// in an order of its own, the same for every row.
class EightBitProduct : public Product {
 public:
  explicit EightBitProduct(const Matrix& matrix);
  EightBitProduct(Activation weight, at::Tensor bias) : weight_(std::move(weight)), bias_(std::move(bias)) {}

  void operator()(const Activation& x, const at::Tensor& out, Epilogue epilogue) const override;
  std::unique_ptr<const Product> columns(int64_t first, int64_t count) const override;

 private:
  Activation weight_;  // [out, in]; int8's scales divided by the rotation's block: both sides are not normalised
  at::Tensor bias_;    // [out] fp32, zeros where there is none
};

/// Throws Invalid where a tensor core does not take the matrix.
void require_eight_bit_width(const Matrix& matrix);

/// `part`.weight as int8 or fp8 keeps it, out of a file that has it so or quantized here. to: [rows, in] as above.
void read_eight_bit(const Weights& weights, const std::string& part, const Activation& to);

/// The product by the arithmetic of a CPU. bias: [out] fp32.
void eight_bit_product_aten(const Activation& x, const Activation& weight, const at::Tensor& bias,
                            const at::Tensor& out, Epilogue epilogue);

}  // namespace flux
