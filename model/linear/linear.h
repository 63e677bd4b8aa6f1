#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/checkpoint/weights.h"
#include "model/linear/product.h"

namespace flux {

/// y = x W^T + b. torch.nn.Linear, or several of the same input stacked by rows: y = [y of part 0 | y of part 1 | ...].
class Linear {
 public:
  /// Reads `part`.weight [out / parts, in] and `part`.bias [out / parts] of every part, into the format that the
  /// weights' placing says. Throws Invalid.
  Linear(const Weights& weights, const std::vector<std::string>& parts, int64_t out, int64_t in,
         Bias bias = Bias::present);

  /// What it makes of its columns `first` ... `first + count` alone, over the same memory.
  Linear columns(int64_t first, int64_t count) const { return {count, input_, product_->columns(first, count)}; }

  /// What it multiplies: dense, int8 or fp8.
  Format input() const { return input_; }

  /// x: [rows, in] as input() says. out: [rows, out], may be a column range of a wider buffer, of the compute dtype or
  /// fp32 (the sums are then not rounded).
  void operator()(const Activation& x, const at::Tensor& out, Epilogue epilogue = Epilogue::none) const;

  /// As above of dense rows, quantised first where need be, into new memory of their dtype.
  at::Tensor operator()(const at::Tensor& x) const;

 private:
  Linear(int64_t out, Format input, std::unique_ptr<const Product> product)
      : out_(out), input_(input), product_(std::move(product)) {}

  int64_t out_;
  Format input_;
  std::unique_ptr<const Product> product_;
};

}  // namespace flux
