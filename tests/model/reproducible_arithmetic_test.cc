#include "model/reproducible_arithmetic.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace flux {
namespace {

class ReproducibleArithmeticGpu : public testing::Test {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
    demand_reproducible_arithmetic();
  }
};

/// 1 + 2^-12 is not in TF32, and one part in 2^12 would be lost.
TEST_F(ReproducibleArithmeticGpu, KeepsFp32) {
  const auto x = at::full({1, 16, 32, 32}, 1 + 1.0 / 4096, at::device(at::kCUDA));
  const auto kernel = at::full({16, 16, 1, 1}, 1.0 / 16, at::device(at::kCUDA));
  EXPECT_LT((at::conv2d(x, kernel) - x).abs().max().item<double>(), 1e-6);
  const auto matrix = at::full({64, 64}, 1 + 1.0 / 4096, at::device(at::kCUDA));
  const auto mean = at::full({64, 64}, 1.0 / 64, at::device(at::kCUDA));
  EXPECT_LT((at::mm(matrix, mean) - matrix).abs().max().item<double>(), 1e-6);
}

}  // namespace
}  // namespace flux
