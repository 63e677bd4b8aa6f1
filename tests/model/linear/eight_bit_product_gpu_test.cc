#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "built_with.h"

#if FLUX_CUDA
#include <ATen/ceil_div.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

#include "model/kernels/dispatch.h"
#include "model/linear/eight_bit_product_cuda.h"

namespace flux {
namespace {

constexpr int64_t kMargin = 64;  // columns beside y, which is a range of a wider buffer
constexpr double kUntouched = 7;

struct Operands {
  at::Tensor x, x_scales, weight, weight_scales, bias;
};

at::Tensor codes(int64_t rows, int64_t columns) {
  return at::randint(-127, 128, {rows, columns}, at::dtype(at::kChar).device(at::kCUDA));
}

/// Products have a standard deviation of about two.
Operands random(int64_t rows, int64_t out, int64_t in) {
  const auto floats = at::dtype(at::kFloat).device(at::kCUDA);
  const double scale = std::sqrt(2 / std::sqrt(static_cast<double>(in))) / 73;
  const auto x_scales = ((at::rand({rows + 1}, floats) + 0.5) * scale).narrow(0, 1, rows);  // of a rank's later rows
  return {codes(rows, in), x_scales, codes(out, in), (at::rand({out}, floats) + 0.5) * scale, at::randn({out}, floats)};
}

Operands random_e4m3(int64_t rows, int64_t out, int64_t in) {
  Operands operands = random(rows, out, in);
  const auto codes = [&](const at::Tensor& like) {
    return (50 * at::randn(like.sizes(), operands.bias.options())).clamp(-448, 448).to(at::kFloat8_e4m3fn);
  };
  operands.x = codes(operands.x);
  operands.weight = codes(operands.weight);
  return operands;
}

/// Of the rows from `first` on.
Operands later_rows(const Operands& o, int64_t first) {
  const int64_t rows = o.x.size(0) - first;
  return {o.x.narrow(0, first, rows), o.x_scales.narrow(0, first, rows), o.weight, o.weight_scales, o.bias};
}

EightBitProductOnDevice on_device(const Operands& o, const at::Tensor& y, bool gelu) {
  return {.codes = eight_bit_of(o.x),
          .x = o.x.const_data_ptr(),
          .x_scales = o.x_scales.const_data_ptr<float>(),
          .weight = o.weight.const_data_ptr(),
          .weight_scales = o.weight_scales.const_data_ptr<float>(),
          .bias = o.bias.const_data_ptr<float>(),
          .y = y.data_ptr(),
          .precision = precision_of(y),
          .y_stride = y.stride(0),
          .rows = y.size(0),
          .out = y.size(1),
          .in = o.x.size(1),
          .gelu = gelu};
}

/// Of the first rows of x; undefined where no such kernel runs here. What surrounds y must stay as it is.
at::Tensor product(const Operands& o, int64_t rows, at::ScalarType dtype, bool gelu, int architecture) {
  const int64_t out = o.weight.size(0);
  const auto buffer = at::full({rows + 1, out + 2 * kMargin}, kUntouched, at::dtype(dtype).device(at::kCUDA));
  const auto y = buffer.narrow(0, 0, rows).narrow(1, kMargin, out);
  const cudaError_t error =
      launch_eight_bit_product(on_device(o, y, gelu), architecture, c10::cuda::getCurrentCUDAStream());
  if (error == cudaErrorNotSupported) return {};
  C10_CUDA_CHECK(error);
  for (const auto& beside :
       {buffer.narrow(0, rows, 1), buffer.narrow(1, 0, kMargin), buffer.narrow(1, kMargin + out, kMargin)})
    EXPECT_TRUE((beside == kUntouched).all().item<bool>());
  return y;
}

/// Those that this card runs of this build: of its own code all that are no newer, of PTX what that was written for.
std::vector<int> architectures(const Operands& operands) {
  const EightBit codes = eight_bit_of(operands.x);
  CompiledCode code;
  C10_CUDA_CHECK(compiled_code(&code));
  const int newest = eight_bit_architecture(codes, code);
  std::vector<int> supported;
  for (const int architecture : codes == EightBit::int8 ? std::vector<int>{75, 80, 90} : std::vector<int>{89, 90}) {
    const bool defined = product(operands, 1, at::kFloat, false, architecture).defined();
    EXPECT_EQ(defined, architecture <= newest) << architecture;
    if (defined) supported.push_back(architecture);
  }
  return supported;
}

/// a b + c rounded once to fp32. The sum of doubles is rounded to odd, which no further rounding can tell from exact.
at::Tensor fused(const at::Tensor& a, const at::Tensor& b, const at::Tensor& c) {
  const auto exact_product = a.to(at::kDouble) * b.to(at::kDouble);
  const auto addend = c.to(at::kDouble).expand_as(exact_product).contiguous();
  auto sum = exact_product + addend;
  const auto added = sum - exact_product;
  const auto error = (exact_product - (sum - added)) + (addend - added);
  const auto even = at::bitwise_and(sum.view(at::kLong), 1) == 0;
  sum = at::where((error != 0).logical_and(even), at::nextafter(sum, error.sign() * HUGE_VAL), sum);
  return sum.to(at::kFloat);
}

/// Before the GELU.
at::Tensor expected(const Operands& o) {
  const auto sums = at::mm(o.x.to(at::kDouble), o.weight.to(at::kDouble).t()).to(at::kFloat);  // exact, rounded once
  return fused(o.x_scales.unsqueeze(1), o.weight_scales * sums, o.bias);
}

at::Tensor gelu_in_double(const at::Tensor& x) {
  const auto v = x.to(at::kDouble);
  return v / (1 + at::exp(-2 * std::sqrt(2 / M_PI) * (v + 0.044715 * v.pow(3))));
}

/// By how much y is further from gelu(x) than one rounding, and what the card's tanh is off by (2^-11), may put it.
double excess(const at::Tensor& y, const at::Tensor& x) {
  const auto exact = gelu_in_double(x);
  const double rounding = y.scalar_type() == at::kHalf ? 0x1p-11 : 0x1p-8;
  const auto allowed = x.abs().to(at::kDouble) * 0x1p-12 * 1.1 + exact.abs() * rounding + 0x1p-24;
  return ((y.to(at::kDouble) - exact).abs() - allowed).max().item<double>();
}

struct Shape {
  int64_t out, in;
};

class Int8ProductGpu : public testing::TestWithParam<Shape> {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  }
};

TEST_P(Int8ProductGpu, IsRoundedOnlyWhereTheEquationSaysSo) {
  const auto [out, in] = GetParam();
  const auto operands = random(4608, out, in);
  const auto before = expected(operands);
  for (const int architecture : architectures(operands)) {
    for (const int64_t rows : {1, 3, 128, 515, 4608}) {
      SCOPED_TRACE(std::to_string(architecture) + ", rows " + std::to_string(rows));
      for (const auto dtype : {at::kBFloat16, at::kHalf, at::kFloat})
        EXPECT_TRUE(at::equal(product(operands, rows, dtype, false, architecture), before.narrow(0, 0, rows).to(dtype)))
            << dtype;
      for (const auto dtype : {at::kBFloat16, at::kHalf})
        EXPECT_LE(excess(product(operands, rows, dtype, true, architecture), before.narrow(0, 0, rows)), 0) << dtype;
    }
  }
}

// All that the transformer multiplies, and shapes that fill no tile.
INSTANTIATE_TEST_SUITE_P(Products, Int8ProductGpu,
                         testing::Values(Shape{6144, 3072}, Shape{3072, 3072}, Shape{12288, 3072}, Shape{3072, 12288},
                                         Shape{3072, 15360}, Shape{128, 128}, Shape{384, 128}, Shape{64, 256},
                                         Shape{200, 144}, Shape{8, 16}));

class Fp8ProductGpu : public Int8ProductGpu {};

class Int8ProductOfOneShapeGpu : public testing::Test {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  }
};

/// Sums as large as they come: codes of 127 alone.
TEST_F(Int8ProductOfOneShapeGpu, SumsDoNotOverflow) {
  auto operands = random(256, 128, 15360);
  operands.x.fill_(127);
  operands.weight.fill_(127);
  operands.weight.narrow(0, 0, 64).fill_(-127);
  for (const int architecture : architectures(operands))
    EXPECT_TRUE(at::equal(product(operands, 256, at::kFloat, false, architecture), expected(operands)));
}

/// A GELU's cube may be infinite; what is not finite must not become so.
TEST_F(Int8ProductOfOneShapeGpu, GeluOfAnything) {
  constexpr double infinite = std::numeric_limits<double>::infinity();
  const auto options = at::dtype(at::kFloat).device(at::kCUDA);
  const auto scales = at::tensor({100.0, 1e4, 1e30, 0.0, infinite, std::nan("")}, options);
  const int64_t rows = scales.size(0);
  // Columns 0 to 7 are -scale, 8 to 15 scale.
  const Operands operands{at::ones({rows, 16}, options.dtype(at::kChar)), scales,
                          at::cat({at::full({8, 16}, -1), at::full({8, 16}, 1)}).to(options.dtype(at::kChar)),
                          at::full({16}, 1.0 / 16, options), at::zeros({16}, options)};
  for (const int architecture : architectures(operands)) {
    for (const auto dtype : {at::kBFloat16, at::kHalf}) {
      const auto y = product(operands, rows, dtype, true, architecture);
      EXPECT_TRUE((y.narrow(0, 0, 4).narrow(1, 0, 8) == 0).all().item<bool>());
      EXPECT_TRUE(
          at::equal(y.narrow(0, 0, 5).narrow(1, 8, 8), scales.narrow(0, 0, 5).to(dtype).unsqueeze(1).expand({5, 8})));
      EXPECT_TRUE(y.narrow(0, 4, 2).isfinite().logical_not().all().item<bool>());
    }
  }
}

TEST_F(Int8ProductOfOneShapeGpu, IsCapturedInGraphs) {
  const auto operands = random(300, 384, 256);
  const auto stream = c10::cuda::getStreamFromPool();
  for (const int architecture : architectures(operands)) {
    const auto y = at::zeros({300, 384}, operands.bias.options().dtype(at::kBFloat16));
    C10_CUDA_CHECK(cudaDeviceSynchronize());
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    C10_CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    C10_CUDA_CHECK(launch_eight_bit_product(on_device(operands, y, true), architecture, stream));
    C10_CUDA_CHECK(cudaStreamEndCapture(stream, &graph));
    C10_CUDA_CHECK(cudaGraphInstantiate(&executable, graph, 0));
    C10_CUDA_CHECK(cudaGraphLaunch(executable, stream));
    C10_CUDA_CHECK(cudaStreamSynchronize(stream));
    EXPECT_TRUE(at::equal(y, product(operands, 300, at::kBFloat16, true, architecture)));
    C10_CUDA_CHECK(cudaGraphExecDestroy(executable));
    C10_CUDA_CHECK(cudaGraphDestroy(graph));
  }
}

/// A tensor core may keep as little as 13 bits of a sum's mantissa when it adds the next 32 products, and cuts off the
/// rest: half a bit on average, always towards zero.
TEST_P(Fp8ProductGpu, SumsAsTensorCoresDoAndNoRowDependsOnOthers) {
  const auto [out, in] = GetParam();
  const auto operands = random_e4m3(4608, out, in);
  const auto before = expected(operands);
  const auto sums = before - operands.bias;
  for (const int architecture : architectures(operands)) {
    SCOPED_TRACE(architecture);
    const auto all = product(operands, 4608, at::kFloat, false, architecture);
    const double error = ((all - before).norm() / sums.norm()).item<double>();
    EXPECT_LE(error, 0x1p-14 * static_cast<double>(at::ceil_div(in, int64_t{32})) + 0x1p-22);
    RecordProperty("relative error, sm_" + std::to_string(architecture), std::to_string(error));
    for (const auto dtype : {at::kBFloat16, at::kHalf}) {
      const auto rounded = product(operands, 4608, dtype, false, architecture);
      EXPECT_TRUE(at::equal(rounded, all.to(dtype))) << dtype;
      EXPECT_LE(excess(product(operands, 4608, dtype, true, architecture), all), 0) << dtype;
    }
    for (const int64_t rows : {1, 3, 128, 515, 2304})
      EXPECT_TRUE(at::equal(product(later_rows(operands, 4608 - rows), rows, at::kFloat, false, architecture),
                            all.narrow(0, 4608 - rows, rows)))
          << rows;
  }
}

INSTANTIATE_TEST_SUITE_P(Products, Fp8ProductGpu,
                         testing::Values(Shape{6144, 3072}, Shape{3072, 3072}, Shape{12288, 3072}, Shape{3072, 12288},
                                         Shape{3072, 15360}, Shape{128, 128}, Shape{200, 144}, Shape{8, 16}));

TEST_F(Int8ProductOfOneShapeGpu, RefusesWhatItCannotDo) {
  const auto operands = random(16, 64, 64);
  const auto y = at::empty({16, 64}, operands.bias.options());
  const auto stream = c10::cuda::getCurrentCUDAStream();
  EXPECT_EQ(launch_eight_bit_product(on_device(operands, y, true), 80, stream),
            cudaErrorInvalidValue);        // fp32 and GELU
  for (const int architecture : {70, 89})  // none, and of e4m3
    EXPECT_EQ(launch_eight_bit_product(on_device(operands, y, false), architecture, stream), cudaErrorInvalidValue);
  auto odd = on_device(operands, y, false);
  odd.in = 24;
  EXPECT_EQ(launch_eight_bit_product(odd, 80, stream), cudaErrorInvalidValue);
  odd = on_device(operands, y.narrow(1, 1, 56), false);
  EXPECT_EQ(launch_eight_bit_product(odd, 80, stream), cudaErrorInvalidValue);
}

}  // namespace
}  // namespace flux
#endif
