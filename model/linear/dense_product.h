#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "model/linear/product.h"

namespace flux {

/// out = epilogue(x weight^T + bias), sums in fp32: by cuBLASLt on a card, by ATen elsewhere. x: [rows, in] and weight:
/// [out, in] of one dtype; bias: [out] fp32, added where out is fp32; or of out's dtype; or undefined.
void dense_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& out,
                   Epilogue epilogue);

constexpr int64_t widened_values = 24 << 20;  // at a time, about

/// The same of a weight that is kept in fewer bits. `widen` writes its rows from `first` on, in x's dtype, as many as
/// `rows` has: a block at a time.
void widened_product(const at::Tensor& x, const at::Tensor& bias, const at::Tensor& out, Epilogue epilogue,
                     const std::function<void(int64_t first, const at::Tensor& rows)>& widen);

/// The compute dtype.
class DenseProduct : public Product {
 public:
  explicit DenseProduct(const Matrix& matrix);
  DenseProduct(at::Tensor weight, DenseBias bias) : weight_(std::move(weight)), bias_(std::move(bias)) {}

  void operator()(const Activation& x, const at::Tensor& out, Epilogue epilogue) const override;
  std::unique_ptr<const Product> columns(int64_t first, int64_t count) const override;

 private:
  at::Tensor weight_;  // [out, in]
  DenseBias bias_;
};

}  // namespace flux
