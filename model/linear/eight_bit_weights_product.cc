#include "model/linear/eight_bit_weights_product.h"

#include "model/kernels/dequantize.h"
#include "model/kernels/llm_int8.h"
#include "model/kernels/quantize_operand.h"
#include "model/kernels/quantize_rows.h"
#include "model/linear/dense_product.h"

namespace flux {

void read_stored_codes(const Weights& weights, const std::string& part, const Activation& to) {
  weights.read_stored(part + ".weight.codes", to.values);
  weights.read_stored(part + ".weight.scales", to.scales);
}

void read_eight_bit_weights(const Weights& weights, const std::string& part, const Activation& to) {
  if (weights.quantized()) return read_stored_codes(weights, part, to);
  weights.each_block(part + ".weight", to.values.sizes(), [&](int64_t first, const at::Tensor& rows) {
    const Activation codes = to.narrow(first, rows.size(0));
    weights.placing().store == Format::int8_outliers ? quantize_inliers(rows, {}, codes) : quantize_rows(rows, codes);
  });
}

EightBitWeightsProduct::EightBitWeightsProduct(const Matrix& matrix)
    : weight_{matrix.weights.memory({matrix.out, matrix.in}, code_dtype(matrix.format())),
              matrix.weights.memory({matrix.out}, at::kFloat)} {
  matrix.each_part([&](const std::string& part, int64_t first, int64_t rows) {
    read_eight_bit_weights(matrix.weights, part, weight_.narrow(first, rows));
  });
  bias_ = matrix.read_bias();
}

void EightBitWeightsProduct::operator()(const Activation& x, const at::Tensor& out, Epilogue epilogue) const {
  widened_product(x.values, bias_.of(out), out, epilogue, [&](int64_t first, const at::Tensor& rows) {
    dequantize(weight_.narrow(first, rows.size(0)), rows);
  });
}

std::unique_ptr<const Product> EightBitWeightsProduct::columns(int64_t first, int64_t count) const {
  return std::make_unique<EightBitWeightsProduct>(weight_.narrow(first, count), bias_.columns(first, count));
}

}  // namespace flux
