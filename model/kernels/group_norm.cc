#include "model/kernels/group_norm.h"

#include <utility>

#include "built_with.h"

#if FLUX_CUDA
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "model/kernels/dispatch.h"
#include "model/kernels/group_norm_cuda.h"
#endif

namespace flux {
namespace {

at::Tensor by_channel(const at::Tensor& values) { return values.view({1, -1, 1, 1}); }

}  // namespace

at::Tensor group_norm_aten(const at::Tensor& x, const at::Tensor& offset, const GroupNormalization& norm) {
  const at::Tensor wide = offset.defined() ? x.to(at::kFloat) + by_channel(offset) : x.to(at::kFloat);
  const at::Tensor normed = at::group_norm(wide, norm.groups, norm.weight, norm.bias, 1e-6);
  return (norm.silu ? at::silu(normed) : normed).to(x.scalar_type());
}

at::Tensor add_with_offset_aten(const at::Tensor& x, const at::Tensor& y, const at::Tensor& offset) {
  return (x.to(at::kFloat) + (y.to(at::kFloat) + by_channel(offset))).to(x.scalar_type());
}

#if FLUX_CUDA
namespace {

/// As it should be, and nearly always is: ATen takes maps of one pixel or one channel for either order.
at::Tensor channels_last(const at::Tensor& x) {
  TORCH_CHECK(x.size(0) == 1, "one map at a time");
  return x.contiguous(at::MemoryFormat::ChannelsLast);
}

/// A map in channels last, and where a result of its size goes: into its place where nobody else holds it.
struct Replaceable {
  explicit Replaceable(at::Tensor map) : x(std::move(map)) {
    const bool alone = x.use_count() == 1 && x.storage().use_count() == 1;
    at::Tensor last = channels_last(x);
    const bool copied = !last.is_same(x);
    x = std::move(last);
    out = alone || copied ? x : at::empty(x.sizes(), x.options(), at::MemoryFormat::ChannelsLast);
  }
  at::Tensor x, out;
};

at::Tensor group_norm_cuda(at::Tensor map, const at::Tensor& offset, const GroupNormalization& norm) {
  const c10::cuda::CUDAGuard device(map.device());
  const auto [x, out] = Replaceable(std::move(map));
  const int64_t channels = x.size(1), pixels = x.size(2) * x.size(3);
  const at::Tensor partial =
      at::empty({group_norm_parts(pixels, channels), norm.groups, 2}, x.options().dtype(at::kDouble));
  const at::Tensor statistics = at::empty({norm.groups, 2}, x.options().dtype(at::kFloat));
  C10_CUDA_CHECK(launch_group_norm({.x = x.const_data_ptr(),
                                    .offset = offset.defined() ? offset.const_data_ptr<float>() : nullptr,
                                    .weight = norm.weight.const_data_ptr<float>(),
                                    .bias = norm.bias.const_data_ptr<float>(),
                                    .out = out.data_ptr(),
                                    .partial = partial.data_ptr<double>(),
                                    .statistics = statistics.data_ptr<float>(),
                                    .precision = precision_of(x),
                                    .pixels = pixels,
                                    .channels = channels,
                                    .groups = norm.groups,
                                    .silu = norm.silu},
                                   c10::cuda::getCurrentCUDAStream()));
  return out;
}

at::Tensor add_with_offset_cuda(const at::Tensor& map, at::Tensor other, const at::Tensor& offset) {
  const c10::cuda::CUDAGuard device(map.device());
  const at::Tensor x = channels_last(map);
  const auto [y, out] = Replaceable(std::move(other));
  C10_CUDA_CHECK(launch_add_with_offset({.x = x.const_data_ptr(),
                                         .y = y.const_data_ptr(),
                                         .offset = offset.const_data_ptr<float>(),
                                         .out = out.data_ptr(),
                                         .precision = precision_of(x),
                                         .pixels = x.size(2) * x.size(3),
                                         .channels = x.size(1)},
                                        c10::cuda::getCurrentCUDAStream()));
  return out;
}

}  // namespace
#endif

at::Tensor group_norm(at::Tensor x, const at::Tensor& offset, const GroupNormalization& norm) {
#if FLUX_CUDA
  if (x.is_cuda()) return group_norm_cuda(std::move(x), offset, norm);
#endif
  return group_norm_aten(x, offset, norm);
}

at::Tensor add_with_offset(const at::Tensor& x, at::Tensor y, const at::Tensor& offset) {
#if FLUX_CUDA
  if (x.is_cuda()) return add_with_offset_cuda(x, std::move(y), offset);
#endif
  return add_with_offset_aten(x, y, offset);
}

}  // namespace flux
