#include "model/vae/vae_decoder.h"

#include <gtest/gtest.h>

#include "tests/model/comparison.h"
#include "tests/reference.h"

namespace flux {
namespace {

constexpr int seeds = 8;

/// One random VAE with what diffusers makes of it.
struct Case {
  explicit Case(int seed)
      : folder(reference("vae") / ("vae_" + std::to_string(seed))),
        fields(json(folder / "config.json")),
        weights(open_component(folder)),
        expected(open_component(folder / "expected")) {}

  at::Tensor decoded(Placing placing) const {
    const VaeConfig config{.latent_channels = fields.at("latent_channels"),
                           .out_channels = fields.at("out_channels"),
                           .block_out_channels = fields.at("block_out_channels"),
                           .layers_per_block = fields.at("layers_per_block"),
                           .norm_num_groups = fields.at("norm_num_groups"),
                           .mid_block_add_attention = fields.at("mid_block_add_attention"),
                           .use_post_quant_conv = fields.at("use_post_quant_conv")};
    const auto latents = stored(*expected, "latents").to(placing.device, placing.compute);
    return VaeDecoder(Weights(weights, placing), config)(latents).cpu();
  }

  std::filesystem::path folder;
  nlohmann::json fields;
  std::shared_ptr<const TensorSource> weights, expected;
};

void expect_equal_in_fp32(at::Device device) {
  for (int seed = 0; seed < seeds; ++seed) {
    const Case one(seed);
    const auto pixels = one.decoded({device, at::kFloat});
    EXPECT_LT(relative_to_largest(pixels, stored(*one.expected, "fp32")), 1e-5) << one.folder;
  }
}

/// Errors against diffusers' fp32, ours at most 1.05 times its own on the same device.
void expect_as_exact(at::Device device, const std::string& name, at::ScalarType compute) {
  double ours = 0, theirs = 0;
  for (int seed = 0; seed < seeds; ++seed) {
    const Case one(seed);
    const auto exact = stored(*one.expected, "fp32");
    const auto value = one.decoded({device, compute});
    EXPECT_EQ(value.scalar_type(), compute);
    ours += relative_rms(value, exact);
    theirs += relative_rms(stored(*one.expected, name + (device.is_cuda() ? "_cuda" : "_cpu")), exact);
  }
  EXPECT_LE(ours, 1.05 * theirs);
  EXPECT_GT(ours, 0.0);
}

TEST(VaeDecoder, EqualsDiffusersInFp32) { expect_equal_in_fp32(at::kCPU); }
TEST(VaeDecoder, AsExactAsDiffusersInBf16) { expect_as_exact(at::kCPU, "bf16", at::kBFloat16); }
TEST(VaeDecoder, AsExactAsDiffusersInFp16) { expect_as_exact(at::kCPU, "fp16", at::kHalf); }

TEST(VaeDecoderGpu, EqualsDiffusers) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  expect_equal_in_fp32(at::kCUDA);
  expect_as_exact(at::kCUDA, "bf16", at::kBFloat16);
  expect_as_exact(at::kCUDA, "fp16", at::kHalf);
}

}  // namespace
}  // namespace flux
