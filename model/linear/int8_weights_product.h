#pragma once

#include "model/linear/product.h"

namespace flux {

/// W8A16: weight = scale of its row * codes, rounded once to the compute dtype, a block of rows at a time, and
/// multiplied as a dense one.
class Int8WeightsProduct : public Product {
 public:
  explicit Int8WeightsProduct(const Matrix& matrix);

  void operator()(const Activation& x, const at::Tensor& out, Epilogue epilogue) const override;

 private:
  void read_stored(const Matrix& matrix) const;

  Activation weight_;  // [out, in]
  DenseBias bias_;
};

}  // namespace flux
