#pragma once

#include <memory>
#include <utility>

#include "model/linear/product.h"
#include "parallel/communicator.h"

namespace flux {

/// LLM.int8 as bitsandbytes' Linear8bitLt computes it (kernels/llm_int8.h): a product in int8 of what is left when
/// columns with outliers are taken out, rounded with its bias to out's dtype; the product of those columns with the
/// weight's values in the compute dtype is added and rounded again; then the epilogue. The columns are those of all
/// rows of the sequence, whoever holds them: every rank of it multiplies, in the same order, also one without rows.
class Int8OutliersProduct : public Product {
 public:
  explicit Int8OutliersProduct(const Matrix& matrix);
  Int8OutliersProduct(Activation weight, at::Tensor bias, Communicator* sequence)
      : weight_(std::move(weight)), bias_(std::move(bias)), sequence_(sequence) {}

  void operator()(const Activation& x, const at::Tensor& out, Epilogue epilogue) const override;
  std::unique_ptr<const Product> columns(int64_t first, int64_t count) const override;

  /// Bytes that it takes beside its operands at most.
  static int64_t workspace(int64_t rows, int64_t width, at::ScalarType compute);

 private:
  void add_outliers(const at::Tensor& x, const at::Tensor& columns, const at::Tensor& out) const;

  Activation weight_;  // [out, in]
  at::Tensor bias_;    // [out] fp32, zeros where there is none
  Communicator* sequence_;
};

/// Of a rank that holds no rows of what others multiply, and no weight: it takes part in finding the columns.
class Int8OutliersBystander : public Product {
 public:
  explicit Int8OutliersBystander(Communicator* sequence) : sequence_(sequence) {}

  void operator()(const Activation& x, const at::Tensor& out, Epilogue epilogue) const override;
  std::unique_ptr<const Product> columns(int64_t, int64_t) const override {
    return std::make_unique<Int8OutliersBystander>(sequence_);
  }

 private:
  Communicator* sequence_;
};

}  // namespace flux
