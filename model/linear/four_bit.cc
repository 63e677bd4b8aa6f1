#include "model/linear/four_bit.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <optional>
#include <vector>

namespace flux {
namespace {

/// Quantiles of the normal distribution.
constexpr std::array<float, 16> kNf4 = {-1.0F,
                                        -0.6961928009986877F,
                                        -0.5250730514526367F,
                                        -0.39491748809814453F,
                                        -0.28444138169288635F,
                                        -0.18477343022823334F,
                                        -0.09105003625154495F,
                                        0.0F,
                                        0.07958029955625534F,
                                        0.16093020141124725F,
                                        0.24611230194568634F,
                                        0.33791524171829224F,
                                        0.44070982933044434F,
                                        0.5626170039176941F,
                                        0.7229568362236023F,
                                        1.0F};

/// A sign, two bits of exponent and one of mantissa.
constexpr std::array<float, 16> kFp4 = {0.0F / 12,  0.0625F / 12, 8.0F / 12,  12.0F / 12,    4.0F / 12,  6.0F / 12,
                                        2.0F / 12,  3.0F / 12,    -0.0F / 12, -0.0625F / 12, -8.0F / 12, -12.0F / 12,
                                        -4.0F / 12, -6.0F / 12,   -2.0F / 12, -3.0F / 12};

at::Tensor between(const at::Tensor& ascending) {
  const int64_t count = ascending.size(0) - 1;
  return (ascending.narrow(0, 0, count) + ascending.narrow(0, 1, count)) / 2;
}

/// Codes of values from -1 to 1: bitsandbytes cuts [-1, 1] into equal steps and rounds the middle of a value's step to
/// the map.
at::Tensor nested_codes(const at::Tensor& values) {
  constexpr double steps_per_unit = 32767.5;
  const at::Tensor step = ((values + 1) * steps_per_unit + 0.5).to(at::kInt);
  // By a tensor: by a scalar ATen divides through its reciprocal.
  const at::Tensor middle = step.to(at::kFloat) / at::full({1}, steps_per_unit, values.options()) - 1;
  return at::bucketize(middle, between(dynamic_map()).to(values.device()), /*out_int32=*/true);
}

/// ATen computes with one thread while this lives.
class OneThread {
 public:
  OneThread() { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_ = at::get_num_threads();
};

/// A card, and several threads, sum in another order.
float mean_of(const at::Tensor& absmax) {
  const at::Tensor values = absmax.flatten().cpu();
  const OneThread alone;
  return values.mean().item<float>();
}

}  // namespace

const std::array<float, 16>& codebook(Format format) {
  TORCH_INTERNAL_ASSERT(is_four_bit(format));
  return format == Format::nf4 ? kNf4 : kFp4;
}

at::Tensor dynamic_map() {
  constexpr int exponents = 7;
  std::vector<at::Tensor> values = {at::tensor({0.0F, 1.0F})};
  for (int i = 0; i < exponents; ++i) {
    const at::Tensor fractions = between(at::linspace(0.1, 1, (int64_t{1} << i) + 1, at::kFloat));
    const double scale = std::pow(10.0, i - exponents + 1);
    values.push_back(fractions * scale);
    values.push_back(fractions * -scale);
  }
  return std::get<0>(at::cat(values).sort());
}

void quantize_4bit(const at::Tensor& rows, Format format, const at::Tensor& codes, const at::Tensor& absmax) {
  if (rows.numel() == 0) return;
  const std::array<float, 16>& values = codebook(format);
  const at::Tensor unordered = at::tensor(at::ArrayRef<float>(values.data(), values.size()));
  const auto [ascending, order] = unordered.sort(/*stable=*/std::optional(true));
  const at::Tensor blocks = rows.to(at::kFloat).view({-1, FourBit::block});
  const at::Tensor largest = blocks.abs().amax(1);
  constexpr double least = 1e-38;
  const at::Tensor scaled = (blocks * largest.clamp_min(least).reciprocal().unsqueeze(1)).clamp_(-1, 1);
  at::Tensor nearest = at::bucketize(scaled, between(ascending).to(rows.device()), /*out_int32=*/true);
  if (format == Format::fp4) nearest = order.to(at::kInt).to(rows.device()).index({nearest.to(at::kLong)});
  const at::Tensor pairs = nearest.to(at::kByte).view({rows.size(0), -1, 2});
  codes.copy_(pairs.select(2, 0).__lshift__(4).bitwise_or_(pairs.select(2, 1)));
  absmax.copy_(largest.view(absmax.sizes()));
}

void quantize_absmax(const at::Tensor& absmax, const FourBit& out) {
  const float offset = mean_of(absmax);
  out.offset().fill_(offset);
  out.map().copy_(dynamic_map());
  const int64_t blocks = out.nested_absmax().size(0);
  const at::Tensor padded =
      at::constant_pad_nd(absmax.flatten() - offset, {0, blocks * FourBit::nested_block - absmax.numel()});
  const at::Tensor values = padded.view({blocks, FourBit::nested_block});
  const at::Tensor largest = values.abs().amax(1);
  out.nested_absmax().copy_(largest);
  const at::Tensor scaled =
      (values * largest.reciprocal().unsqueeze(1)).nan_to_num_(-1).clamp_(-1, 1);  // 0 / 0: code 0
  const at::Tensor codes = nested_codes(scaled).flatten().narrow(0, 0, absmax.numel());
  out.absmax.copy_(codes.view(absmax.sizes()));
}

at::Tensor widened_absmax(const at::Tensor& codes, int64_t first, const FourBit& of) {
  const at::Tensor all = codes.flatten().to(at::kLong);
  const at::Tensor shared = at::arange(first, first + all.numel(), all.options()).floor_divide_(FourBit::nested_block);
  return (of.map().index({all}) * of.nested_absmax().index({shared}) + of.offset()).view(codes.sizes());
}

}  // namespace flux
