#include "model/linear/int8_outliers_product.h"

#include <algorithm>

#include "model/kernels/dequantize.h"
#include "model/kernels/llm_int8.h"
#include "model/linear/dense_product.h"
#include "model/linear/eight_bit_product.h"
#include "model/linear/eight_bit_weights_product.h"

namespace flux {
namespace {

constexpr int64_t kColumnsAtATime = 3072;  // of sums in fp32
constexpr int64_t kAlignedWidth = 8;       // of a row that cuBLASLt reads, or it finds but slow products

/// Of the rows of all ranks.
at::Tensor outliers_of_all(const at::Tensor& x, Communicator* sequence) {
  const at::Tensor columns = outlier_columns(x);
  if (sequence != nullptr) sequence->reduce(columns).wait();
  return columns;
}

}  // namespace

Int8OutliersProduct::Int8OutliersProduct(const Matrix& matrix) : sequence_(matrix.weights.placing().sequence) {
  require_eight_bit_width(matrix);
  const Weights& weights = matrix.weights;
  weight_ = {weights.memory({matrix.out, matrix.in}, at::kChar), weights.memory({matrix.out}, at::kFloat)};
  matrix.each_part([&](const std::string& part, int64_t first, int64_t rows) {
    read_eight_bit_weights(weights, part, weight_.narrow(first, rows));
  });
  bias_ = matrix.read_bias(at::kFloat);
  if (!bias_.defined()) bias_ = weights.memory({matrix.out}, at::kFloat).zero_();
}

/// out += x weight^T of these columns: indices, at least one.
void Int8OutliersProduct::add_outliers(const at::Tensor& x, const at::Tensor& columns, const at::Tensor& out) const {
  const int64_t count = columns.size(0), more = (kAlignedWidth - count % kAlignedWidth) % kAlignedWidth;
  const at::Tensor padded = at::constant_pad_nd(columns, {0, more});  // by column 0, of which x is taken for zeros
  const at::Tensor some = x.index_select(1, padded);
  some.narrow(1, count, more).zero_();
  for (int64_t first = 0; first < out.size(1); first += kColumnsAtATime) {
    const int64_t width = std::min(kColumnsAtATime, out.size(1) - first);
    const at::Tensor sums = at::empty({x.size(0), width}, out.options().dtype(at::kFloat));
    widened_product(some, {}, sums, Epilogue::none, [&](int64_t row, const at::Tensor& rows) {
      const Activation of_rows = weight_.narrow(first + row, rows.size(0));
      dequantize({of_rows.values.index_select(1, padded), of_rows.scales}, rows);
    });
    out.narrow(1, first, width).add_(sums);
  }
}

void Int8OutliersProduct::operator()(const Activation& x, const at::Tensor& out, Epilogue epilogue) const {
  const at::Tensor outliers = outliers_of_all(x.values, sequence_);
  if (x.rows() == 0) return;
  const Activation codes{at::empty(x.values.sizes(), x.values.options().dtype(at::kChar)),
                         at::empty({x.rows()}, x.values.options().dtype(at::kFloat))};
  quantize_inliers(x.values, outliers, codes);
  EightBitProduct(weight_, bias_)(codes, out, Epilogue::none);
  const at::Tensor columns = outliers.nonzero().squeeze(1);  // waits for the card: no graph holds this product
  if (columns.size(0) > 0) add_outliers(x.values, columns, out);
  at::Tensor y = out;  // ATen works in place on what is not const
  if (epilogue == Epilogue::gelu) at::gelu_(y, "tanh");
}

std::unique_ptr<const Product> Int8OutliersProduct::columns(int64_t first, int64_t count) const {
  return std::make_unique<Int8OutliersProduct>(weight_.narrow(first, count), bias_.narrow(0, first, count), sequence_);
}

int64_t Int8OutliersProduct::workspace(int64_t rows, int64_t width, at::ScalarType compute) {
  const auto size = static_cast<int64_t>(c10::elementSize(compute));
  return rows * width * (1 + size) + rows * kColumnsAtATime * 4;  // where every column has an outlier
}

void Int8OutliersBystander::operator()(const Activation& x, const at::Tensor&, Epilogue) const {
  TORCH_CHECK(x.rows() == 0, "rows of a weight that this rank does not hold");
  outliers_of_all(x.values, sequence_);
}

}  // namespace flux
