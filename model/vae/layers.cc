#include "model/vae/layers.h"

#include <algorithm>
#include <utility>

#include "model/kernels/upsample_nearest.h"

namespace flux {

at::MemoryFormat map_format(at::Device device) {
  return device.is_cuda() ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
}

namespace {

/// [out, in, kernel, kernel], laid out as maps are.
at::Tensor read_kernels(const Weights& weights, int64_t out, int64_t in, int64_t kernel) {
  if (map_format(weights.placing().device) == at::MemoryFormat::Contiguous)
    return weights.tensor("weight", {out, in, kernel, kernel});
  const at::Tensor kernels = weights.memory({out, kernel, kernel, in}, weights.placing().compute).permute({0, 3, 1, 2});
  weights.read("weight", kernels);
  return kernels;
}

}  // namespace

Convolution::Convolution(const Weights& weights, int64_t out, int64_t in, int64_t kernel)
    : weight_(read_kernels(weights, out, in, kernel)),
      bias_(weights.tensor("bias", {out})),
      wide_bias_(weights.widened(bias_)),
      padding_(kernel / 2) {}

at::Tensor Convolution::operator()(const at::Tensor& x) const {
  return at::conv2d(x, weight_, bias_, /*stride=*/1, padding_);
}

at::Tensor Convolution::unbiased(const at::Tensor& x) const {
  return at::conv2d(x, weight_, /*bias=*/{}, /*stride=*/1, padding_);
}

at::Tensor Upsampler::operator()(const at::Tensor& x) const {
  constexpr int64_t stripes = 4;
  const int64_t rows = x.size(2);
  const at::Tensor out = at::empty({1, x.size(1), 2 * rows, 2 * x.size(3)}, x.options(), map_format(x.device()));
  for (int64_t stripe = 0; stripe < stripes; ++stripe) {
    const int64_t begin = rows * stripe / stripes, end = rows * (stripe + 1) / stripes;
    if (begin == end) continue;
    const int64_t above = std::max<int64_t>(begin - 1, 0), below = std::min(end + 1, rows);  // a convolution reads them
    const at::Tensor enlarged = convolution_(upsample_nearest(x.slice(2, above, below)));
    out.slice(2, 2 * begin, 2 * end).copy_(enlarged.slice(2, 2 * (begin - above), 2 * (end - above)));
  }
  return out;
}

GroupNorm::GroupNorm(const Weights& weights, int64_t channels, int64_t groups, Then then) {
  const Weights fp32 = weights.in(at::kFloat);
  norm_ = {fp32.tensor("weight", {channels}), fp32.tensor("bias", {channels}), groups, then == Then::silu};
}

ResnetBlock::ResnetBlock(const Weights& weights, int64_t out, int64_t in, int64_t groups)
    : norm_1_(weights["norm1"], in, groups, GroupNorm::Then::silu),
      conv_1_(weights["conv1"], out, in, 3),
      norm_2_(weights["norm2"], out, groups, GroupNorm::Then::silu),
      conv_2_(weights["conv2"], out, out, 3) {
  if (out != in) shortcut_.emplace(weights["conv_shortcut"], out, in, 1);
}

at::Tensor ResnetBlock::operator()(at::Tensor x) const {
  const auto shortcut = shortcut_ ? (*shortcut_)(x) : x;
  auto once = conv_1_.unbiased(norm_1_(std::move(x)));
  auto twice = conv_2_.unbiased(norm_2_(std::move(once), conv_1_.bias()));
  return add_with_offset(shortcut, std::move(twice), conv_2_.bias());
}

PixelAttention::Projection PixelAttention::projection(const Weights& weights, int64_t channels) {
  return {weights.tensor("weight", {channels, channels}), weights.tensor("bias", {channels})};
}

PixelAttention::Projection PixelAttention::projected_values(const Weights& weights, int64_t channels) {
  const Placing& placing = weights.placing();
  const Weights apart = weights.within(WeightMemory(placing.device)).in(at::kFloat);  // which goes again
  const Projection v = projection(apart["to_v"], channels), out = projection(apart["to_out"][0], channels);
  const Projection both{weights.memory({channels, channels}, placing.compute),
                        weights.memory({channels}, placing.compute)};
  both.weight.copy_(at::mm(out.weight, v.weight));
  both.bias.copy_(at::addmv(out.bias, out.weight, v.bias));
  return both;
}

PixelAttention::PixelAttention(const Weights& weights, int64_t channels, int64_t groups)
    : norm_(weights["group_norm"], channels, groups, GroupNorm::Then::nothing),
      q_(projection(weights["to_q"], channels)),
      k_(projection(weights["to_k"], channels)),
      values_(projected_values(weights, channels)) {}

at::Tensor PixelAttention::operator()(const at::Tensor& x) const {
  const auto pixels = norm_(x).flatten(2).transpose(1, 2).unsqueeze(1);  // [1, one head, pixels, channels]
  const auto attended = at::scaled_dot_product_attention(q_(pixels), k_(pixels), values_(pixels));
  return x + attended.reshape({1, x.size(2), x.size(3), x.size(1)}).permute({0, 3, 1, 2});
}

}  // namespace flux
