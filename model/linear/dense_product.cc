#include "model/linear/dense_product.h"

#include <ATen/ceil_div.h>

#include <algorithm>

#include "built_with.h"
#include "model/linear/cublas_lt.h"

namespace flux {
namespace {

/// Fewer rows than this a CPU multiplies by another routine, which sums in another order.
constexpr int64_t kFewRows = 4;

constexpr int64_t kAlignedColumns = 256;  // a product into columns that start anywhere is several times slower

at::Tensor with_more_rows(const at::Tensor& x) { return at::constant_pad_nd(x, {0, 0, 0, kFewRows - x.size(0)}); }

}  // namespace

void dense_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& out,
                   Epilogue epilogue) {
#if FLUX_CUDA
  if (x.is_cuda() && x.scalar_type() != at::kFloat) return cublas_lt_linear(x, weight, bias, out, epilogue);
#endif
  if (x.is_cpu() && x.size(0) > 0 && x.size(0) < kFewRows) {
    const at::Tensor more = at::empty({kFewRows, out.size(1)}, out.options());
    dense_product(with_more_rows(x), weight, bias, more, epilogue);
    out.copy_(more.narrow(0, 0, x.size(0)));
    return;
  }
  at::Tensor y = out;  // ATen's out parameter
  if (out.scalar_type() == x.scalar_type()) {
    bias.defined() ? at::addmm_out(y, bias, x, weight.t()) : at::mm_out(y, x, weight.t());
  } else {
    at::mm_out(y, x.to(at::kFloat), weight.to(at::kFloat).t());
    if (bias.defined()) y.add_(bias);
  }
  if (epilogue == Epilogue::gelu) at::gelu_(y, "tanh");
}

void widened_product(const at::Tensor& x, const at::Tensor& bias, const at::Tensor& out, Epilogue epilogue,
                     const std::function<void(int64_t, const at::Tensor&)>& widen) {
  const int64_t columns = out.size(1), width = x.size(1);
  // Blocks of one size: a small one at the end would leave most of a card idle.
  const int64_t blocks = at::ceil_div(columns * width, widened_values);
  const int64_t columns_each =
      std::max(kAlignedColumns, at::ceil_div(at::ceil_div(columns, blocks), kAlignedColumns) * kAlignedColumns);
  for (int64_t first = 0; first < columns; first += columns_each) {
    const int64_t count = std::min(columns_each, columns - first);
    const at::Tensor weight = at::empty({count, width}, x.options());
    widen(first, weight);
    dense_product(x, weight, bias.defined() ? bias.narrow(0, first, count) : bias, out.narrow(1, first, count),
                  epilogue);
  }
}

DenseProduct::DenseProduct(const Matrix& matrix)
    : weight_(matrix.weights.memory({matrix.out, matrix.in}, matrix.weights.placing().compute)) {
  const int64_t rows = matrix.rows_each();
  for (size_t part = 0; part < matrix.parts.size(); ++part)
    matrix.weights.read(matrix.parts[part] + ".weight", weight_.narrow(0, static_cast<int64_t>(part) * rows, rows));
  bias_ = matrix.read_bias();
}

void DenseProduct::operator()(const Activation& x, const at::Tensor& out, Epilogue epilogue) const {
  dense_product(x.values, weight_, bias_.of(out), out, epilogue);
}

std::unique_ptr<const Product> DenseProduct::columns(int64_t first, int64_t count) const {
  return std::make_unique<DenseProduct>(weight_.narrow(0, first, count), bias_.columns(first, count));
}

}  // namespace flux
