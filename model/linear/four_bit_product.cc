#include "model/linear/four_bit_product.h"

#include <algorithm>

#include "model/kernels/dequantize_4bit.h"
#include "model/linear/dense_product.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

void require_width(const Matrix& matrix, Format format) {
  if (matrix.in % FourBit::block != 0)
    throw Invalid(matrix.weights.full_name(matrix.parts.front()) + " has " + std::to_string(matrix.in) +
                  " inputs, and " + format_name(format) + " takes multiples of " + std::to_string(FourBit::block) +
                  ": keep it in none or int8-weights (--quantize; of T5 --quantize-text-encoder, of the modulation "
                  "--quantize-modulation)");
}

FourBit room(const Weights& weights, int64_t rows, int64_t width, bool nested) {
  const int64_t blocks = width / FourBit::block;
  return {.codes = weights.memory({rows, width / 2}, at::kByte),
          .absmax = weights.memory({rows, blocks}, nested ? at::kByte : at::kFloat),
          .nested = nested ? weights.memory({FourBit::nested_size(rows * blocks)}, at::kFloat) : at::Tensor()};
}

/// As the file has it.
FourBit stored_part(const Weights& weights, const std::string& part, int64_t rows, int64_t in) {
  const bool nested = weights.has(part + ".weight.nested");
  const FourBit to = room(weights, rows, in, nested);
  weights.read_stored(part + ".weight.codes", to.codes);
  weights.read_stored(part + ".weight.absmax", to.absmax);
  if (nested) weights.read_stored(part + ".weight.nested", to.nested);
  return to;
}

/// With double quantisation.
FourBit quantized_part(const Weights& weights, const std::string& part, int64_t rows, int64_t in, Format format) {
  const FourBit to = room(weights, rows, in, /*nested=*/true);
  // Nested only when all are known: their mean is taken first.
  const at::Tensor absmax = at::empty(to.absmax.sizes(), to.absmax.options().dtype(at::kFloat));
  weights.each_block(part + ".weight", {rows, in}, [&](int64_t first, const at::Tensor& block) {
    const int64_t count = block.size(0);
    quantize_4bit(block, format, to.codes.narrow(0, first, count), absmax.narrow(0, first, count));
  });
  if (!absmax.is_meta()) quantize_absmax(absmax, to);
  return to;
}

}  // namespace

FourBit read_four_bit(const Weights& weights, const std::string& part, int64_t rows, int64_t in) {
  return weights.quantized() ? stored_part(weights, part, rows, in)
                             : quantized_part(weights, part, rows, in, weights.placing().store);
}

FourBitProduct::FourBitProduct(const Matrix& matrix) : format_(matrix.weights.placing().store) {
  require_width(matrix, format_);
  matrix.each_part([&](const std::string& part, int64_t, int64_t rows) {
    parts_.push_back({read_four_bit(matrix.weights, part, rows, matrix.in), 0, rows});
  });
  bias_ = matrix.read_bias();
}

void FourBitProduct::operator()(const Activation& x, const at::Tensor& out, Epilogue epilogue) const {
  const at::Tensor& bias = bias_.of(out);
  int64_t column = 0;
  for (const Part& part : parts_) {
    widened_product(
        x.values, bias.defined() ? bias.narrow(0, column, part.rows) : bias, out.narrow(1, column, part.rows), epilogue,
        [&](int64_t first, const at::Tensor& rows) { dequantize_4bit(part.kept, format_, part.first + first, rows); });
    column += part.rows;
  }
}

std::unique_ptr<const Product> FourBitProduct::columns(int64_t first, int64_t count) const {
  std::unique_ptr<FourBitProduct> some(new FourBitProduct);
  some->format_ = format_;
  some->bias_ = bias_.columns(first, count);
  int64_t begin = 0;
  for (const Part& part : parts_) {
    const int64_t from = std::max(first, begin), to = std::min(first + count, begin + part.rows);
    if (from < to) some->parts_.push_back({part.kept, part.first + from - begin, to - from});
    begin += part.rows;
  }
  return some;
}

}  // namespace flux
