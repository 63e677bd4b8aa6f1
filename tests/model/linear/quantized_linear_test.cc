// What a product promises in every format that is not dense.

#include <gtest/gtest.h>

#include <limits>

#include "model/kernels/quantize_operand.h"
#include "model/linear/dense_product.h"
#include "tests/model/comparison.h"
#include "tests/model/linear/given.h"

namespace flux {
namespace {

class QuantizedLinear : public testing::TestWithParam<std::tuple<Format, at::ScalarType>> {
 protected:
  Linear of(const at::Tensor& weight) const {
    return linear_of(weight, {at::kCPU, compute(), std::get<0>(GetParam())});
  }
  at::ScalarType compute() const { return std::get<1>(GetParam()); }
};

TEST_P(QuantizedLinear, RowsDoNotDependOnEachOther) {
  const auto product = of(at::randn({64, 128}));
  const auto x = at::randn({19, 128}).to(compute());
  const auto all = product(x);
  for (int64_t rows = 1; rows <= 19; ++rows)
    EXPECT_TRUE(at::equal(product(x.narrow(0, 19 - rows, rows)), all.narrow(0, 19 - rows, rows))) << rows;
}

TEST_P(QuantizedLinear, WritesAColumnRangeAndUnroundedSums) {
  const auto product = of(at::randn({64, 128}));
  const auto x = at::randn({5, 128}).to(compute());
  const auto wide = at::zeros({5, 80}, compute()), sums = at::empty({5, 64});
  product(as_input(product.input(), x), wide.narrow(1, 8, 64));
  product(as_input(product.input(), x), sums);
  if (input_of(std::get<0>(GetParam())) != Format::dense) {
    EXPECT_TRUE(at::equal(wide.narrow(1, 8, 64), sums.to(compute())));
  } else {  // a CPU's product in 16 bit, which may round before it adds the bias
    const double rounding = compute() == at::kFloat ? 0 : compute() == at::kHalf ? 0x1p-10 : 0x1p-7;
    EXPECT_LE(relative_to_largest(wide.narrow(1, 8, 64).to(at::kFloat), sums), rounding);
  }
  EXPECT_EQ(wide.narrow(1, 0, 8).abs().max().item<float>() + wide.narrow(1, 72, 8).abs().max().item<float>(), 0);
}

TEST_P(QuantizedLinear, SomeColumnsAreThoseOfAll) {
  const auto product = of(at::randn({64, 128}));
  const auto x = at::randn({5, 128}).to(compute());
  EXPECT_TRUE(at::equal(product.columns(24, 32)(x), product(x).narrow(1, 24, 32)));
  EXPECT_TRUE(at::equal(product.columns(24, 32).columns(8, 16)(x), product(x).narrow(1, 32, 16)));
}

TEST_P(QuantizedLinear, AppliesItsEpilogue) {
  const auto weight = at::randn({64, 128});
  const auto product = of(weight);
  const auto x = at::randn({5, 128}).to(compute());
  const auto out = at::empty({5, 64}, compute()), plain = at::empty({5, 64});
  product(as_input(product.input(), x), out, Epilogue::gelu);
  product(as_input(product.input(), x), plain);
  const auto exact = at::gelu(plain, "tanh");
  EXPECT_LE(relative_to_largest(out.to(at::kFloat), exact), compute() == at::kFloat ? 1e-6 : 1.0 / 128);
}

TEST_P(QuantizedLinear, WhatIsNotFiniteStaysSo) {
  const auto product = of(at::randn({64, 128}));
  const auto x = at::randn({4, 128}).to(compute());
  x[2][5] = std::numeric_limits<float>::infinity();
  const auto finite = product(x).isfinite();
  EXPECT_FALSE(finite[2].any().item<bool>());
  EXPECT_TRUE(finite.narrow(0, 0, 2).all().item<bool>() && finite[3].all().item<bool>());
}

TEST_P(QuantizedLinear, OfZerosIsItsBias) {
  const auto product = of(at::zeros({64, 128}));
  EXPECT_TRUE(at::equal(product(at::randn({3, 128}).to(compute()))[0], at::linspace(-1, 1, 64).to(compute())));
}

TEST_P(QuantizedLinear, TakesNoRows) {
  EXPECT_EQ(of(at::randn({64, 128}))(at::empty({0, 128}, compute())).sizes(), (std::vector<int64_t>{0, 64}));
}

/// A weight of which each value is its row's number, larger than what is widened at a time.
TEST(WidenedProduct, TakesALargeWeightInBlocks) {
  constexpr int64_t columns = 2000, width = 1 << 15;
  const at::Tensor x = at::zeros({2, width}), out = at::empty({2, columns}), bias = at::rand({columns});
  x[0][5] = 1;
  x[1][width - 1] = 2;
  int64_t next = 0;
  widened_product(x, bias, out, Epilogue::none, [&](int64_t first, const at::Tensor& rows) {
    EXPECT_EQ(first, next);
    EXPECT_LE(rows.numel(), 32 << 20);
    next += rows.size(0);
    rows.copy_(at::arange(first, next, at::kFloat).unsqueeze(1).expand(rows.sizes()));
  });
  EXPECT_EQ(next, columns);
  const at::Tensor numbers = at::arange(columns, at::kFloat);
  EXPECT_TRUE(at::equal(out[0], numbers + bias) && at::equal(out[1], 2 * numbers + bias));
}

INSTANTIATE_TEST_SUITE_P(Formats, QuantizedLinear,
                         testing::Combine(testing::Values(Format::int8, Format::fp8, Format::int8_weights,
                                                          Format::int8_outliers, Format::fp8_weights, Format::nf4,
                                                          Format::fp4),
                                          testing::Values(at::kFloat, at::kBFloat16, at::kHalf)));

}  // namespace
}  // namespace flux
