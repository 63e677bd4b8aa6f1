#include "model/linear/product.h"

#include <algorithm>

#include "model/linear/dense_product.h"
#include "model/linear/eight_bit_product.h"
#include "model/linear/eight_bit_weights_product.h"
#include "model/linear/four_bit_product.h"
#include "model/linear/int8_outliers_product.h"
#include "parallel/rank/errors.h"

namespace flux {

int64_t Matrix::rows_each() const {
  const auto count = static_cast<int64_t>(parts.size());
  TORCH_CHECK(out % count == 0, out, " rows do not divide into ", count, " parts");
  return out / count;
}

Format Matrix::format() const {
  const bool kept = std::ranges::all_of(parts, [&](const auto& part) { return weights.has(part + ".weight.codes"); });
  const Format store = weights.placing().store;
  if (!weights.quantized() || kept) return store;
  // What comes before it makes codes for it.
  if (input_of(store) != Format::dense)
    throw Invalid(weights.full_name(parts.front()) + ".weight is not quantized, and config.json says " +
                  format_name(store) + " of it; quantize the model again");
  return Format::dense;
}

at::Tensor Matrix::read_bias(at::ScalarType dtype) const {
  if (bias == Bias::absent) return {};
  const at::Tensor values = weights.memory({out}, dtype);
  each_part([&](const std::string& part, int64_t first, int64_t rows) {
    weights.read(part + ".bias", values.narrow(0, first, rows));
  });
  return values;
}

DenseBias Matrix::read_bias() const {
  const at::Tensor narrow = read_bias(weights.placing().compute);
  return {narrow, narrow.defined() ? weights.widened(narrow) : narrow};
}

void Matrix::each_part(const std::function<void(const std::string&, int64_t, int64_t)>& visit) const {
  int64_t first = 0;
  for (const std::string& part : parts) {
    visit(part, first, rows_each());
    first += rows_each();
  }
}

std::unique_ptr<const Product> read_product(const Matrix& matrix) {
  switch (matrix.format()) {
    case Format::dense:
      return std::make_unique<DenseProduct>(matrix);
    case Format::int8:
    case Format::fp8:
      return std::make_unique<EightBitProduct>(matrix);
    case Format::int8_weights:
    case Format::fp8_weights:
      return std::make_unique<EightBitWeightsProduct>(matrix);
    case Format::int8_outliers:
      if (matrix.weights.placing().bystander)
        return std::make_unique<Int8OutliersBystander>(matrix.weights.placing().sequence);
      return std::make_unique<Int8OutliersProduct>(matrix);
    case Format::nf4:
    case Format::fp4:
      return std::make_unique<FourBitProduct>(matrix);
  }
  TORCH_INTERNAL_ASSERT(false, "no such format");
}

}  // namespace flux
