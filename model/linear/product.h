#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/checkpoint/weights.h"
#include "model/format.h"
#include "model/linear/activation.h"
#include "model/linear/epilogue.h"

namespace flux {

enum class Bias { present, absent };

/// A bias is added in the dtype of what it is added to: the compute dtype, or fp32.
struct DenseBias {
  at::Tensor narrow, wide;  // [out]; undefined when absent

  const at::Tensor& of(const at::Tensor& out) const { return out.scalar_type() == at::kFloat ? wide : narrow; }
  DenseBias columns(int64_t first, int64_t count) const {
    return narrow.defined() ? DenseBias{narrow.narrow(0, first, count), wide.narrow(0, first, count)} : *this;
  }
};

/// A weight [out, in] and its bias [out] as a checkpoint has them: `parts` stacked by rows.
struct Matrix {
  const Weights& weights;
  const std::vector<std::string>& parts;
  int64_t out, in;
  Bias bias;

  int64_t rows_each() const;  // of a part

  /// How it is kept: as the weights' placing says, but dense where a quantized file has it so.
  Format format() const;

  /// In this dtype; undefined where there is none.
  at::Tensor read_bias(at::ScalarType dtype) const;
  DenseBias read_bias() const;

  /// The parts, and which of the weight's rows each is.
  void each_part(const std::function<void(const std::string& part, int64_t first, int64_t rows)>& visit) const;
};

/// A weight in one format, and how it is multiplied. Construction is loading. Every format has a file pair; its
/// arithmetic is written down by what it does on a CPU.
class Product {
 public:
  virtual ~Product() = default;

  /// out = epilogue(x weight^T + bias), rounded once. x: as input_of(format) says. out: [rows, weight rows], may be a
  /// column range, of the compute dtype or fp32. No row's result depends on how many there are.
  virtual void operator()(const Activation& x, const at::Tensor& out, Epilogue epilogue) const = 0;

  /// The same of the weight's rows `first` ... `first + count`, over the same memory.
  virtual std::unique_ptr<const Product> columns(int64_t first, int64_t count) const = 0;
};

/// In the format that the weights' placing says. Throws Invalid.
std::unique_ptr<const Product> read_product(const Matrix& matrix);

}  // namespace flux
