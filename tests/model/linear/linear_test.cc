#include "model/linear/linear.h"

#include <gtest/gtest.h>

#include "parallel/rank/errors.h"
#include "tests/model/comparison.h"
#include "tests/reference.h"

namespace flux {
namespace {

/// Attention weights of a small random transformer, d = 32.
Weights attention(at::ScalarType compute) {
  return Weights(open_component(reference("transformer") / "shape_0"),
                 {at::kCPU, compute})["transformer_blocks"][0]["attn"];
}

at::Tensor product(const Weights& weights, const std::string& name, const at::Tensor& x) {
  return at::linear(x, weights.tensor(name + ".weight", {32, 32}), weights.tensor(name + ".bias", {32}));
}

class LinearDtype : public testing::TestWithParam<at::ScalarType> {};

TEST_P(LinearDtype, PartsLieSideBySideInAColumnRange) {
  const auto weights = attention(GetParam());
  const Linear linear(weights, {"to_k", "to_v"}, 64, 32);
  const auto x = at::randn({9, 32}).to(GetParam());
  const auto wide = at::zeros({9, 70}, GetParam());
  linear({x}, wide.narrow(1, 4, 64));
  const auto expected = at::cat({product(weights, "to_k", x), product(weights, "to_v", x)}, 1);
  EXPECT_LE(relative_to_largest(wide.narrow(1, 4, 64), expected), GetParam() == at::kFloat ? 1e-6 : 1.0 / 128);
  EXPECT_EQ(wide.narrow(1, 0, 4).abs().max().item<float>(), 0);
  EXPECT_EQ(wide.narrow(1, 68, 2).abs().max().item<float>(), 0);
}

TEST_P(LinearDtype, WritesSumsUnroundedToFp32) {
  const Linear linear(attention(GetParam()), {"to_q"}, 32, 32);
  const auto x = at::randn({9, 32}).to(GetParam());
  const auto out = at::empty({9, 32}, at::kFloat);
  linear({x}, out);
  const auto exact = product(attention(at::kFloat), "to_q", x.to(at::kFloat));  // the stored values fit 16 bits
  EXPECT_LE(relative_to_largest(out, exact), 1e-6);
}

TEST_P(LinearDtype, AppliesItsEpilogue) {
  const Linear linear(attention(GetParam()), {"to_q"}, 32, 32);
  const auto x = (3 * at::randn({9, 32})).to(GetParam());
  const auto out = at::empty({9, 32}, GetParam());
  linear({x}, out, Epilogue::gelu);
  const auto exact = at::gelu(product(attention(at::kFloat), "to_q", x.to(at::kFloat)), "tanh");
  EXPECT_LE(relative_to_largest(out.to(at::kFloat), exact), GetParam() == at::kFloat ? 1e-6 : 1.0 / 128);
}

TEST_P(LinearDtype, ARowsSumDoesNotDependOnHowManyThereAre) {
  const Linear linear(attention(GetParam()), {"to_q"}, 32, 32);
  const auto x = at::randn({37, 32}).to(GetParam());
  const auto all = linear(x);
  for (int64_t rows = 1; rows <= 37; ++rows)
    EXPECT_TRUE(at::equal(linear(x.narrow(0, 37 - rows, rows)), all.narrow(0, 37 - rows, rows))) << rows;
}

TEST_P(LinearDtype, TakesNoRows) {
  const Linear linear(attention(GetParam()), {"to_q"}, 32, 32);
  EXPECT_EQ(linear(at::empty({0, 32}, GetParam())).sizes(), (std::vector<int64_t>{0, 32}));
}

INSTANTIATE_TEST_SUITE_P(Dense, LinearDtype, testing::Values(at::kFloat, at::kBFloat16, at::kHalf));

TEST(Linear, NamesAMissingTensor) {
  try {
    const Linear linear(attention(at::kFloat), {"to_nothing"}, 32, 32);
    FAIL();
  } catch (const Invalid& error) {
    EXPECT_NE(std::string(error.what()).find("transformer_blocks.0.attn.to_nothing.weight"), std::string::npos);
  }
}

}  // namespace
}  // namespace flux
