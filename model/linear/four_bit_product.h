#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/linear/four_bit.h"
#include "model/linear/product.h"

namespace flux {

/// W4A16 (nf4, fp4): the weight's codes are widened to the dtype of what they multiply, a block of rows at a time, and
/// multiplied as a dense one.
class FourBitProduct : public Product {
 public:
  explicit FourBitProduct(const Matrix& matrix);

  void operator()(const Activation& x, const at::Tensor& out, Epilogue epilogue) const override;
  std::unique_ptr<const Product> columns(int64_t first, int64_t count) const override;

 private:
  /// Rows of what has a nested absmax of its own.
  struct Part {
    FourBit kept;
    int64_t first, rows;
  };

  FourBitProduct() = default;

  Format format_ = Format::nf4;
  std::vector<Part> parts_;  // stacked by rows
  DenseBias bias_;
};

/// `part`.weight [rows, in] as the placing's format (nf4, fp4) keeps it, out of a file that has it so or quantized
/// here.
FourBit read_four_bit(const Weights& weights, const std::string& part, int64_t rows, int64_t in);

}  // namespace flux
