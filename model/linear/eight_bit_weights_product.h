#pragma once

#include <memory>
#include <string>
#include <utility>

#include "model/linear/product.h"

namespace flux {

/// W8A16, int8-weights or fp8-weights: weight = scale of its row * codes, rounded once to the compute dtype, a block of
/// rows at a time, and multiplied as a dense one.
class EightBitWeightsProduct : public Product {
 public:
  explicit EightBitWeightsProduct(const Matrix& matrix);
  EightBitWeightsProduct(Activation weight, DenseBias bias) : weight_(std::move(weight)), bias_(std::move(bias)) {}

  void operator()(const Activation& x, const at::Tensor& out, Epilogue epilogue) const override;
  std::unique_ptr<const Product> columns(int64_t first, int64_t count) const override;

 private:
  Activation weight_;  // [out, in]
  DenseBias bias_;
};

/// `part`.weight as such a product keeps it, out of a file that has it so or quantized here: of the placing's
/// int8-outliers by bitsandbytes' arithmetic. to: [rows, in]
void read_eight_bit_weights(const Weights& weights, const std::string& part, const Activation& to);

/// Codes and scales of a file that has them.
void read_stored_codes(const Weights& weights, const std::string& part, const Activation& to);

}  // namespace flux
