#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "built_with.h"
#include "model/linear/cublas_lt.h"
#include "tests/model/comparison.h"

#if FLUX_CUDA
namespace flux {
namespace {

/// A product of the transformer: x [4608, in], weight [out, in].
struct Shape {
  int64_t out, in;
  bool wide = false;  // out is fp32
};

using Case = std::tuple<at::ScalarType, Shape, Epilogue>;

class CublasLtGpu : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
    const auto [dtype, shape, epilogue] = GetParam();
    const auto options = at::dtype(dtype).device(at::kCUDA);
    x_ = at::randn({4608, shape.in}, options);
    weight_ = at::randn({shape.out, shape.in}, options) / std::sqrt(static_cast<double>(shape.in));
    bias_ = at::randn({shape.out}, options.dtype(shape.wide ? at::kFloat : dtype));
  }

  /// Into a column range of a wider buffer, as a single block's hidden state is.
  at::Tensor product(const at::Tensor& x) const {
    const auto [dtype, shape, epilogue] = GetParam();
    const auto buffer = at::full({x.size(0), shape.out + 64}, 7.0, bias_.options());
    cublas_lt_linear(x, weight_, bias_, buffer.narrow(1, 64, shape.out), epilogue);
    EXPECT_TRUE((buffer.narrow(1, 0, 64) == 7).all().item<bool>());
    return buffer.narrow(1, 64, shape.out);
  }

  at::Tensor x_, weight_, bias_;
};

TEST_P(CublasLtGpu, EqualsFp32) {
  const auto [dtype, shape, epilogue] = GetParam();
  auto exact = at::addmm(bias_.to(at::kDouble), x_.narrow(0, 0, 300).to(at::kDouble), weight_.to(at::kDouble).t());
  if (epilogue == Epilogue::gelu) exact = at::gelu(exact, "tanh");
  // A sum of n terms in fp32 is off by about sqrt(n) of its roundings.
  const double rounding = shape.wide           ? std::sqrt(static_cast<double>(shape.in)) * 0x1p-22
                          : dtype == at::kHalf ? 1.0 / 2048
                                               : 1.0 / 256;
  EXPECT_LE(relative_to_largest(product(x_).narrow(0, 0, 300).to(at::kDouble), exact), rounding);
}

/// However many ranks share the rows, and however unevenly, every row has the same bits: of a picture of 1024 x 1024,
/// of 256 x 256, and of text alone.
TEST_P(CublasLtGpu, NoRowDependsOnHowManyThereAre) {
  for (const int64_t rows : {4608, 768, 128}) {
    const auto all = product(x_.narrow(0, 0, rows));
    std::string wrong;
    for (int64_t ranks = 2; ranks <= 16; ++ranks) {
      for (int64_t rank = 0, begin = 0; rank < ranks; ++rank) {
        const int64_t end = rows * (rank + 1) / ranks + (rank + 1 < ranks ? rank % 3 : 0);
        if (!at::equal(product(x_.narrow(0, begin, end - begin)), all.narrow(0, begin, end - begin)))
          wrong += " " + std::to_string(end - begin);
        begin = end;
      }
    }
    EXPECT_EQ(wrong, "") << "parts of " << rows << " rows";
  }
}

/// As keys and values do, which ranks compute and send by halves of the heads.
TEST_P(CublasLtGpu, HalvesOfTheColumnsHaveTheBitsOfAll) {
  const auto [dtype, shape, epilogue] = GetParam();
  const int64_t half = shape.out / 2;
  for (const int64_t rows : {4608, 2304, 1536, 1152, 922, 512, 77}) {
    const auto x = x_.narrow(0, 4608 - rows, rows), all = product(x_).narrow(0, 4608 - rows, rows);
    for (const int64_t first : {int64_t{0}, half}) {
      const auto buffer = at::empty({rows, 2, half}, bias_.options());
      cublas_lt_linear(x, weight_.narrow(0, first, half), bias_.narrow(0, first, half), buffer.select(1, 1), epilogue);
      EXPECT_TRUE(at::equal(buffer.select(1, 1), all.narrow(1, first, half))) << rows << " rows from " << first;
    }
  }
}

// All that the transformer multiplies.
INSTANTIATE_TEST_SUITE_P(Products, CublasLtGpu,
                         testing::Combine(testing::Values(at::kBFloat16, at::kHalf),
                                          testing::Values(Shape{6144, 3072}, Shape{3072, 3072}, Shape{3072, 12288},
                                                          Shape{3072, 15360}, Shape{3072, 3072, true},
                                                          Shape{3072, 12288, true}, Shape{3072, 15360, true},
                                                          Shape{64, 3072, true}),
                                          testing::Values(Epilogue::none)));
INSTANTIATE_TEST_SUITE_P(ProductsWithGelu, CublasLtGpu,
                         testing::Combine(testing::Values(at::kBFloat16, at::kHalf),
                                          testing::Values(Shape{12288, 3072}), testing::Values(Epilogue::gelu)));

}  // namespace
}  // namespace flux
#endif
