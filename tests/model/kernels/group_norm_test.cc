#include "model/kernels/group_norm.h"

#include <gtest/gtest.h>

#include <limits>
#include <utility>

#include "model/kernels/upsample_nearest.h"
#include "tests/model/comparison.h"

namespace flux {
namespace {

double rounding(at::ScalarType dtype) {
  return dtype == at::kFloat ? 1e-6 : dtype == at::kHalf ? 1.0 / 2048 : 1.0 / 256;
}

struct Maps {
  Maps(at::ScalarType dtype, int64_t channels, int64_t groups, int64_t height, int64_t width, bool silu)
      : x((at::randn({1, channels, height, width}) + 20 * at::randn({1, channels, 1, 1})).to(dtype)),
        y(at::randn({1, channels, height, width}).to(dtype)),
        offset(at::randn({channels})),
        norm{at::randn({channels}), at::randn({channels}), groups, silu} {}

  at::Tensor expected(const at::Tensor& by_channel) const {
    const auto wide = x.to(at::kDouble) + by_channel.to(at::kDouble).view({1, -1, 1, 1});
    const auto rows = wide.view({norm.groups, -1});
    const auto centred = rows - rows.mean(1, true);
    const auto normed =
        (centred / (centred.square().mean(1, true) + 1e-6).sqrt()).view_as(wide) * norm.weight.view({1, -1, 1, 1}) +
        norm.bias.view({1, -1, 1, 1});
    return norm.silu ? normed * at::sigmoid(normed) : normed;
  }

  at::Tensor x, y, offset;
  GroupNormalization norm;
};

at::Tensor last(const at::Tensor& x) { return x.cuda().contiguous(at::MemoryFormat::ChannelsLast); }

using Case = std::tuple<at::ScalarType, bool>;  // dtype, silu

class GroupNormKernel : public testing::TestWithParam<Case> {};

TEST_P(GroupNormKernel, EqualsItsDefinition) {
  const auto [dtype, silu] = GetParam();
  const Maps maps(dtype, 12, 3, 5, 7, silu);
  const auto of = [&](const at::Tensor& offset) { return group_norm(maps.x, offset, maps.norm).to(at::kDouble); };
  EXPECT_LE(relative_to_largest(of(maps.offset), maps.expected(maps.offset)), 2 * rounding(dtype));
  EXPECT_LE(relative_to_largest(of({}), maps.expected(at::zeros({12}))), 2 * rounding(dtype));
  const auto sum = maps.x.to(at::kDouble) + maps.y.to(at::kDouble) + maps.offset.view({1, -1, 1, 1});
  EXPECT_LE(relative_to_largest(add_with_offset(maps.x, maps.y, maps.offset).to(at::kDouble), sum), rounding(dtype));
}

INSTANTIATE_TEST_SUITE_P(Cpu, GroupNormKernel,
                         testing::Combine(testing::Values(at::kFloat, at::kBFloat16, at::kHalf), testing::Bool()));

class GroupNormGpu : public GroupNormKernel {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  }
};

TEST_P(GroupNormGpu, EqualsItsDefinition) {
  const auto [dtype, silu] = GetParam();
  struct Size {
    int64_t channels, groups, height, width;
  };
  for (const auto& [channels, groups, height, width] : {Size{512, 32, 64, 48},
                                                        {128, 32, 333, 211},
                                                        {256, 32, 1, 1},
                                                        {64, 2, 128, 128},
                                                        {12, 3, 5, 7},
                                                        {30, 5, 40, 9}}) {
    const Maps maps(dtype, channels, groups, height, width, silu);
    const GroupNormalization norm{maps.norm.weight.cuda(), maps.norm.bias.cuda(), groups, silu};
    const auto out = group_norm(last(maps.x), maps.offset.cuda(), norm);
    EXPECT_TRUE(at::equal(out, group_norm(maps.x.cuda(), maps.offset.cuda(), norm))) << "whatever its order was";
    EXPECT_TRUE(out.is_contiguous(at::MemoryFormat::ChannelsLast));
    EXPECT_LE(relative_to_largest(out.cpu().to(at::kDouble), maps.expected(maps.offset)), 2 * rounding(dtype))
        << channels << " channels of " << height << " x " << width;
    EXPECT_TRUE(at::equal(out, group_norm(last(maps.x), maps.offset.cuda(), norm)));
    const auto sum = maps.x.to(at::kDouble) + maps.y.to(at::kDouble) + maps.offset.view({1, -1, 1, 1});
    const auto added = add_with_offset(last(maps.x), last(maps.y), maps.offset.cuda());
    EXPECT_LE(relative_to_largest(added.cpu().to(at::kDouble), sum), rounding(dtype));
  }
}

TEST_P(GroupNormGpu, WhatIsGivenAwayIsWrittenOver) {
  const auto [dtype, silu] = GetParam();
  const Maps maps(dtype, 64, 2, 128, 100, silu);
  const GroupNormalization norm{maps.norm.weight.cuda(), maps.norm.bias.cuda(), 2, silu};
  const auto offset = maps.offset.cuda();
  auto x = last(maps.x), y = last(maps.y);
  const auto kept = x;
  const auto normed = group_norm(std::move(x), offset, norm);
  EXPECT_NE(normed.data_ptr(), kept.data_ptr()) << "somebody holds it";
  EXPECT_TRUE(at::equal(kept, last(maps.x)));
  auto alone = last(maps.x);
  const void* const place = alone.data_ptr();
  const auto in_place = group_norm(std::move(alone), offset, norm);
  EXPECT_EQ(in_place.data_ptr(), place);
  EXPECT_TRUE(at::equal(in_place, normed));
  const void* const other_place = y.data_ptr();
  const auto added = add_with_offset(kept, std::move(y), offset);
  EXPECT_EQ(added.data_ptr(), other_place);
  EXPECT_TRUE(at::equal(added, add_with_offset(kept, last(maps.y), offset)));
}

TEST_P(GroupNormGpu, UpsamplingEqualsAtens) {
  const auto dtype = std::get<0>(GetParam());
  for (const int64_t channels : {3, 8, 64}) {
    const auto x = at::randn({1, channels, 5, 7}).to(dtype);
    EXPECT_TRUE(at::equal(upsample_nearest(last(x)).cpu(), at::upsample_nearest2d(x, {10, 14}))) << channels;
  }
}

TEST_P(GroupNormGpu, WhatIsNotFiniteStaysSo) {
  const auto [dtype, silu] = GetParam();
  Maps maps(dtype, 64, 2, 16, 16, silu);
  maps.x.view(-1)[5].fill_(std::numeric_limits<float>::quiet_NaN());
  const GroupNormalization norm{maps.norm.weight.cuda(), maps.norm.bias.cuda(), 2, silu};
  const auto out = group_norm(last(maps.x), {}, norm);
  EXPECT_TRUE(out.narrow(1, 0, 32).isnan().all().item<bool>());
  EXPECT_TRUE(out.narrow(1, 32, 32).isfinite().all().item<bool>());
}

INSTANTIATE_TEST_SUITE_P(Dtypes, GroupNormGpu,
                         testing::Combine(testing::Values(at::kFloat, at::kBFloat16, at::kHalf), testing::Bool()));

}  // namespace
}  // namespace flux
