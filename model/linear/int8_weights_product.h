#pragma once

#include "model/linear/product.h"

namespace flux {

/// W8A16: out = epilogue(scale of the weight's row * (x codes^T) + bias). Codes are exact in every compute dtype, so a
/// block of them at a time is widened and multiplied as a dense weight, its sums in fp32. For products of few rows,
/// whose time is that of reading the weight.
class Int8WeightsProduct : public Product {
 public:
  explicit Int8WeightsProduct(const Matrix& matrix);

  void operator()(const Activation& x, const at::Tensor& out, Epilogue epilogue) const override;

 private:
  Activation weight_;  // [out, in]
  at::Tensor bias_;    // [out] fp32, undefined when absent
};

}  // namespace flux
