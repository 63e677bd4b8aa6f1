#include <gtest/gtest.h>

#include "built_with.h"
#include "model/kernels/dequantize_4bit.h"

#if FLUX_CUDA
namespace flux {
namespace {

constexpr int64_t rows = 67;

/// Any codes and absmax: what values they came from does not matter.
FourBit any_codes(int64_t width, bool nested) {
  const int64_t blocks = width / FourBit::block;
  FourBit from{.codes = at::randint(0, 256, {rows, width / 2}, at::kByte), .absmax = at::rand({rows, blocks})};
  if (!nested) return from;
  from.absmax = at::randint(0, 256, {rows, blocks}, at::kByte);
  from.nested = at::randn({FourBit::nested_size(rows * blocks)});
  return from;
}

FourBit on_card(const FourBit& from) {
  return {.codes = from.codes.cuda(),
          .absmax = from.absmax.cuda(),
          .nested = from.is_nested() ? from.nested.cuda() : at::Tensor()};
}

class FourBitGpu : public testing::TestWithParam<std::tuple<at::ScalarType, int64_t, Format>> {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  }
  at::ScalarType dtype() const { return std::get<0>(GetParam()); }
  int64_t width() const { return std::get<1>(GetParam()); }
  Format format() const { return std::get<2>(GetParam()); }
};

TEST_P(FourBitGpu, ValuesEqualTheirTwinsBitForBit) {
  for (const bool nested : {false, true}) {
    const FourBit here = any_codes(width(), nested), there = on_card(here);
    for (const int64_t first : {0, 1, 30, 66}) {
      const auto expected = at::empty({rows - first, width()}, dtype()), out = expected.cuda();
      dequantize_4bit_aten(here, format(), first, expected);
      dequantize_4bit(there, format(), first, out);
      EXPECT_TRUE(at::equal(out.cpu(), expected)) << "from row " << first << (nested ? ", nested" : "");
    }
  }
}

TEST_P(FourBitGpu, CodesAreTheSameOnACard) {
  const auto weight = (at::randn({rows, width()}) * at::rand({rows, 1}) * 100).to(dtype());
  const int64_t blocks = width() / FourBit::block;
  const auto room = [&](at::Device device) {
    const auto bytes = at::TensorOptions(at::kByte).device(device);
    return FourBit{.codes = at::empty({rows, width() / 2}, bytes),
                   .absmax = at::empty({rows, blocks}, bytes),
                   .nested = at::empty({FourBit::nested_size(rows * blocks)}, bytes.dtype(at::kFloat))};
  };
  const auto quantized = [&](at::Device device) {
    FourBit to = room(device);
    const auto absmax = at::empty({rows, blocks}, to.nested.options());
    quantize_4bit(weight.to(device), format(), to.codes, absmax);
    quantize_absmax(absmax, to);
    return to;
  };
  const FourBit here = quantized(at::kCPU), there = quantized(at::kCUDA);
  EXPECT_TRUE(at::equal(there.codes.cpu(), here.codes));
  EXPECT_TRUE(at::equal(there.absmax.cpu(), here.absmax));
  EXPECT_TRUE(at::equal(there.nested.cpu(), here.nested));
}

INSTANTIATE_TEST_SUITE_P(Widths, FourBitGpu,
                         testing::Combine(testing::Values(at::kFloat, at::kBFloat16, at::kHalf),
                                          testing::Values(64, 192, 3072, 12288, 15360),
                                          testing::Values(Format::nf4, Format::fp4)));

}  // namespace
}  // namespace flux
#endif
