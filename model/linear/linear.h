#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "model/checkpoint/weights.h"
#include "model/linear/epilogue.h"

namespace flux {

enum class Bias { present, absent };

/// y = x W^T + b. torch.nn.Linear, or several of the same input stacked by rows: y = [y of part 0 | y of part 1 | ...].
class Linear {
 public:
  /// Reads `part`.weight [out / parts, in] and `part`.bias [out / parts] of every part. Throws Invalid.
  Linear(const Weights& weights, const std::vector<std::string>& parts, int64_t out, int64_t in,
         Bias bias = Bias::present);

  /// x: [rows, in] of the compute dtype. out: [rows, out], may be a column range of a wider buffer, of the compute
  /// dtype or fp32 (the sums are then not rounded).
  void operator()(const at::Tensor& x, const at::Tensor& out, Epilogue epilogue = Epilogue::none) const;

  /// As above into new memory of the compute dtype.
  at::Tensor operator()(const at::Tensor& x) const;

  int64_t bytes() const;

 private:
  at::Tensor weight_;     // [out, in]
  at::Tensor bias_;       // [out], undefined when absent
  at::Tensor wide_bias_;  // the same in fp32: a bias is added in the dtype of what it is added to
};

}  // namespace flux
