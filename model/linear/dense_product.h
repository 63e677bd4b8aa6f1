#pragma once

#include "model/linear/product.h"

namespace flux {

/// out = epilogue(x weight^T + bias), sums in fp32: by cuBLASLt on a card, by ATen elsewhere. x: [rows, in] and weight:
/// [out, in] of one dtype; bias: [out] fp32, added where out is fp32; or of out's dtype; or undefined.
void dense_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& out,
                   Epilogue epilogue);

/// The compute dtype.
class DenseProduct : public Product {
 public:
  explicit DenseProduct(const Matrix& matrix);

  void operator()(const Activation& x, const at::Tensor& out, Epilogue epilogue) const override;

 private:
  at::Tensor weight_;  // [out, in]
  DenseBias bias_;
};

}  // namespace flux
