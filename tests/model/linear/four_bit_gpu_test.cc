#include <gtest/gtest.h>

#include <cmath>

#include "built_with.h"
#include "model/kernels/dequantize_4bit.h"
#include "model/kernels/quantize_operand.h"
#include "tests/model/comparison.h"
#include "tests/model/linear/given.h"

#if FLUX_CUDA
namespace flux {
namespace {

/// Columns and inputs of FLUX.1-dev's products; some are more than are widened at a time.
class FourBitProductGpu : public testing::TestWithParam<std::tuple<at::ScalarType, std::pair<int64_t, int64_t>>> {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  }
};

/// The product of the values that the codes stand for, whatever the rows that it is computed with.
TEST_P(FourBitProductGpu, IsThatOfItsValuesAndNoRowDependsOnOthers) {
  const auto [dtype, shape] = GetParam();
  const auto [columns, inputs] = shape;
  const auto weight = at::randn({columns, inputs}) / std::sqrt(static_cast<double>(inputs));
  const Linear product = linear_of(weight, {at::kCUDA, dtype, Format::nf4});

  FourBit codes{.codes = at::empty({columns, inputs / 2}, at::kByte),
                .absmax = at::empty({columns, inputs / FourBit::block}, at::kByte),
                .nested = at::empty({FourBit::nested_size(columns * inputs / FourBit::block)}, at::kFloat)};
  const auto absmax = at::empty(codes.absmax.sizes(), at::kFloat), values = at::empty({columns, inputs}, dtype);
  quantize_4bit(weight, Format::nf4, codes.codes, absmax);
  quantize_absmax(absmax, codes);
  dequantize_4bit(codes, Format::nf4, 0, values);

  const auto x = at::randn({600, inputs}, at::device(at::kCUDA).dtype(dtype));
  const auto sums = at::empty({600, columns}, at::device(at::kCUDA).dtype(at::kFloat));
  product({x}, sums);
  const auto bias = at::linspace(-1, 1, columns).to(dtype).to(at::kFloat);  // kept in the compute dtype
  const auto exact = at::linear(x.to(at::kFloat), values.cuda().to(at::kFloat), bias.cuda());
  // A tensor core adds 16 products at a time and cuts off what fp32 does not hold.
  EXPECT_LE(relative_to_largest(sums, exact), static_cast<double>(inputs) / 16 * 0x1p-23);
  const auto all = product(x);
  for (const int64_t rows : {1, 77, 300, 599})
    EXPECT_TRUE(at::equal(product(x.narrow(0, 600 - rows, rows)), all.narrow(0, 600 - rows, rows))) << rows << " rows";
}

INSTANTIATE_TEST_SUITE_P(Sizes, FourBitProductGpu,
                         testing::Combine(testing::Values(at::kBFloat16, at::kHalf),
                                          testing::Values(std::pair(3072, 3072), std::pair(12288, 3072),
                                                          std::pair(3072, 15360))));

}  // namespace
}  // namespace flux
#endif
