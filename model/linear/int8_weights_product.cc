#include "model/linear/int8_weights_product.h"

#include <algorithm>

#include "model/kernels/dequantize.h"
#include "model/kernels/quantize_rows.h"
#include "model/linear/dense_product.h"

namespace flux {
namespace {

constexpr int64_t kWidenedValues = 16 << 20;  // at a time
constexpr int64_t kAlignedColumns = 256;      // a product into columns that start anywhere is several times slower

}  // namespace

Int8WeightsProduct::Int8WeightsProduct(const Matrix& matrix)
    : weight_{matrix.weights.memory({matrix.out, matrix.in}, at::kChar),
              matrix.weights.memory({matrix.out}, at::kFloat)} {
  matrix.each_block(
      [&](int64_t first, const at::Tensor& rows) { quantize_rows(rows, weight_.narrow(first, rows.size(0))); });
  bias_ = matrix.read_bias();
}

void Int8WeightsProduct::operator()(const Activation& x, const at::Tensor& out, Epilogue epilogue) const {
  const int64_t columns = out.size(1);
  const int64_t columns_each =
      std::max(kAlignedColumns, kWidenedValues / weight_.values.size(1) / kAlignedColumns * kAlignedColumns);
  const at::Tensor& bias = bias_.of(out);
  for (int64_t first = 0; first < columns; first += columns_each) {
    const int64_t count = std::min(columns_each, columns - first);
    const Activation block = weight_.narrow(first, count);
    const at::Tensor weight = at::empty(block.values.sizes(), x.values.options());
    dequantize(block, weight);
    dense_product(x.values, weight, bias.defined() ? bias.narrow(0, first, count) : bias, out.narrow(1, first, count),
                  epilogue);
  }
}

}  // namespace flux
