#include "model/linear/int8_weights_product.h"

#include "model/kernels/dequantize.h"
#include "model/kernels/quantize_rows.h"
#include "model/linear/dense_product.h"

namespace flux {
Int8WeightsProduct::Int8WeightsProduct(const Matrix& matrix)
    : weight_{matrix.weights.memory({matrix.out, matrix.in}, at::kChar),
              matrix.weights.memory({matrix.out}, at::kFloat)} {
  if (matrix.weights.quantized()) {
    read_stored(matrix);
  } else {
    matrix.each_block(
        [&](int64_t first, const at::Tensor& rows) { quantize_rows(rows, weight_.narrow(first, rows.size(0))); });
  }
  bias_ = matrix.read_bias();
}

void Int8WeightsProduct::read_stored(const Matrix& matrix) const {
  const int64_t rows = matrix.rows_each();
  int64_t first = 0;
  for (const std::string& part : matrix.parts) {
    const Activation to = weight_.narrow(first, rows);
    matrix.weights.read_stored(part + ".weight.codes", to.values);
    matrix.weights.read_stored(part + ".weight.scales", to.scales);
    first += rows;
  }
}

void Int8WeightsProduct::operator()(const Activation& x, const at::Tensor& out, Epilogue epilogue) const {
  widened_product(x.values, bias_.of(out), out, epilogue, [&](int64_t first, const at::Tensor& rows) {
    dequantize(weight_.narrow(first, rows.size(0)), rows);
  });
}

}  // namespace flux
