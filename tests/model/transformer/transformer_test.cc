#include "model/transformer/transformer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/model/transformer/forward.h"
#include "tests/reference.h"

namespace flux {
namespace {

void skip_without(const at::Device& device) {
  if (device.is_cuda() && !at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
}

class TransformerShape : public testing::TestWithParam<std::tuple<int, at::Device>> {
  void SetUp() override { skip_without(std::get<1>(GetParam())); }
};

TEST_P(TransformerShape, EqualsDiffusersInFp32) {
  const auto [shape, device] = GetParam();
  const auto folder = reference("transformer") / ("shape_" + std::to_string(shape));
  const auto expected = stored(*open_component(folder / "expected"), "fp32");
  EXPECT_LE(relative_to_largest(forward(folder, {device, at::kFloat}), expected), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Cpu, TransformerShape, testing::Combine(testing::Range(0, 4), testing::Values(at::kCPU)));
INSTANTIATE_TEST_SUITE_P(Gpu, TransformerShape, testing::Combine(testing::Range(0, 4), testing::Values(at::kCUDA)));

using Named = std::pair<const char*, at::ScalarType>;

class TransformerPrecision : public testing::TestWithParam<std::tuple<Named, at::Device>> {
  void SetUp() override { skip_without(std::get<1>(GetParam())); }
};

/// Root mean square over seeds of the error in a 16-bit type, relative to diffusers in fp32.
TEST_P(TransformerPrecision, AsGoodAsDiffusers) {
  const auto [named, device] = GetParam();
  const auto [name, dtype] = named;
  double ours = 0, theirs = 0;
  for (int seed = 0; seed < 8; ++seed) {
    const auto folder = reference("transformer") / ("seed_" + std::to_string(seed));
    const auto expected = open_component(folder / "expected");
    const auto exact = stored(*expected, "fp32");
    ours += std::pow(relative_rms(forward(folder, {device, dtype}), exact), 2);
    theirs += std::pow(relative_rms(stored(*expected, name), exact), 2);
  }
  const double ratio = std::sqrt(ours / theirs);
  RecordProperty("ratio", std::to_string(ratio));
  EXPECT_LE(ratio, 1.05);
}

const auto dtypes = testing::Values(Named("bf16", at::kBFloat16), Named("fp16", at::kHalf));
INSTANTIATE_TEST_SUITE_P(Cpu, TransformerPrecision, testing::Combine(dtypes, testing::Values(at::kCPU)));
INSTANTIATE_TEST_SUITE_P(Gpu, TransformerPrecision, testing::Combine(dtypes, testing::Values(at::kCUDA)));

}  // namespace
}  // namespace flux
