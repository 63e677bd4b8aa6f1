#include "model/transformer/transformer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/model/transformer/forward.h"
#include "tests/reference.h"

namespace flux {
namespace {

class TransformerShape : public testing::TestWithParam<int> {};

TEST_P(TransformerShape, EqualsDiffusersInFp32) {
  const auto folder = reference("transformer") / ("shape_" + std::to_string(GetParam()));
  const auto expected = stored(*open_component(folder / "expected"), "fp32");
  EXPECT_LE(relative_to_largest(forward(folder, {at::kCPU, at::kFloat}), expected), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Transformer, TransformerShape, testing::Range(0, 4));

class TransformerPrecision : public testing::TestWithParam<std::tuple<const char*, at::ScalarType>> {};

/// Root mean square over seeds of the error in a 16-bit type, relative to diffusers in fp32.
TEST_P(TransformerPrecision, AsGoodAsDiffusers) {
  const auto [name, dtype] = GetParam();
  double ours = 0, theirs = 0;
  for (int seed = 0; seed < 8; ++seed) {
    const auto folder = reference("transformer") / ("seed_" + std::to_string(seed));
    const auto expected = open_component(folder / "expected");
    const auto exact = stored(*expected, "fp32");
    ours += std::pow(relative_rms(forward(folder, {at::kCPU, dtype}), exact), 2);
    theirs += std::pow(relative_rms(stored(*expected, name), exact), 2);
  }
  const double ratio = std::sqrt(ours / theirs);
  RecordProperty("ratio", std::to_string(ratio));
  EXPECT_LE(ratio, 1.05);
}

INSTANTIATE_TEST_SUITE_P(Transformer, TransformerPrecision,
                         testing::Values(std::tuple("bf16", at::kBFloat16), std::tuple("fp16", at::kHalf)),
                         [](const auto& values) { return std::string(std::get<0>(values.param)); });

}  // namespace
}  // namespace flux
