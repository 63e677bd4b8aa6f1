#include "model/linear/int8_weights_product.h"

#include <algorithm>

#include "model/kernels/rotate_quantize.h"
#include "model/linear/dense_product.h"

namespace flux {
namespace {

constexpr int64_t kWidenedValues = 16 << 20;  // at a time

}  // namespace

Int8WeightsProduct::Int8WeightsProduct(const Matrix& matrix)
    : weight_{matrix.weights.memory({matrix.out, matrix.in}, at::kChar),
              matrix.weights.memory({matrix.out}, at::kFloat)},
      bias_(matrix.read_bias(at::kFloat)) {
  matrix.each_block([&](int64_t first, const at::Tensor& rows) {
    quantize_rows(rows.to(at::kFloat), weight_.narrow(first, rows.size(0)));
  });
}

void Int8WeightsProduct::operator()(const Activation& x, const at::Tensor& out, Epilogue epilogue) const {
  const int64_t columns = out.size(1);
  const int64_t columns_each = std::clamp<int64_t>(kWidenedValues / weight_.values.size(1), 1, columns);
  for (int64_t first = 0; first < columns; first += columns_each) {
    const int64_t count = std::min(columns_each, columns - first);
    const Activation block = weight_.narrow(first, count);
    at::Tensor y = at::empty({x.rows(), count}, out.options().dtype(at::kFloat));
    dense_product(x.values, block.values.to(x.values.scalar_type()), {}, y, Epilogue::none);
    bias_.defined() ? at::addcmul_out(y, bias_.narrow(0, first, count), y, block.scales) : y.mul_(block.scales);
    out.narrow(1, first, count).copy_(epilogue == Epilogue::gelu ? at::gelu_(y, "tanh") : y);
  }
}

}  // namespace flux
