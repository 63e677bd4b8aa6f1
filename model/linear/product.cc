#include "model/linear/product.h"

#include <algorithm>

#include "model/linear/dense_product.h"
#include "model/linear/four_bit_product.h"
#include "model/linear/int8_product.h"
#include "model/linear/int8_weights_product.h"

namespace flux {

int64_t Matrix::rows_each() const {
  const auto count = static_cast<int64_t>(parts.size());
  TORCH_CHECK(out % count == 0, out, " rows do not divide into ", count, " parts");
  return out / count;
}

Format Matrix::format() const {
  const bool kept = std::ranges::all_of(parts, [&](const auto& part) { return weights.has(part + ".weight.codes"); });
  return weights.quantized() && !kept ? Format::dense : weights.placing().store;
}

at::Tensor Matrix::read_bias(at::ScalarType dtype) const {
  if (bias == Bias::absent) return {};
  const at::Tensor values = weights.memory({out}, dtype);
  for (size_t part = 0; part < parts.size(); ++part)
    weights.read(parts[part] + ".bias", values.narrow(0, static_cast<int64_t>(part) * rows_each(), rows_each()));
  return values;
}

DenseBias Matrix::read_bias() const {
  const at::Tensor narrow = read_bias(weights.placing().compute);
  return {narrow, narrow.defined() ? weights.widened(narrow) : narrow};
}

void Matrix::each_block(const std::function<void(int64_t, const at::Tensor&)>& visit) const {
  for (size_t part = 0; part < parts.size(); ++part) {
    const int64_t begin = static_cast<int64_t>(part) * rows_each();
    weights.each_block(parts[part] + ".weight", {rows_each(), in},
                       [&](int64_t first, const at::Tensor& rows) { visit(begin + first, rows); });
  }
}

std::unique_ptr<const Product> read_product(const Matrix& matrix) {
  switch (matrix.format()) {
    case Format::dense:
      return std::make_unique<DenseProduct>(matrix);
    case Format::int8:
      return std::make_unique<Int8Product>(matrix);
    case Format::int8_weights:
      return std::make_unique<Int8WeightsProduct>(matrix);
    case Format::nf4:
    case Format::fp4:
      return std::make_unique<FourBitProduct>(matrix);
  }
  TORCH_INTERNAL_ASSERT(false, "no such format");
}

}  // namespace flux
