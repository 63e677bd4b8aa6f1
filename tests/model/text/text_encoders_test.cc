#include <gtest/gtest.h>

#include "model/text/clip_text.h"
#include "model/text/t5_encoder.h"
#include "tests/model/comparison.h"
#include "tests/reference.h"

namespace flux {
namespace {

constexpr int seeds = 8;

/// One random encoder with what transformers makes of it.
struct Case {
  Case(const std::string& kind, int seed)
      : folder(reference("text") / (kind + "_" + std::to_string(seed))),
        config(json(folder / "config.json")),
        weights(open_component(folder)),
        expected(open_component(folder / "expected")) {}

  at::Tensor t5(Placing placing) const {
    const T5Config t5{.vocab_size = config.at("vocab_size"),
                      .d_model = config.at("d_model"),
                      .d_kv = config.at("d_kv"),
                      .d_ff = config.at("d_ff"),
                      .num_layers = config.at("num_layers"),
                      .num_heads = config.at("num_heads"),
                      .relative_attention_num_buckets = config.at("relative_attention_num_buckets"),
                      .relative_attention_max_distance = config.at("relative_attention_max_distance"),
                      .layer_norm_epsilon = config.at("layer_norm_epsilon")};
    return T5Encoder(Weights(weights, placing), t5)(stored(*expected, "ids").to(placing.device)).cpu();
  }

  at::Tensor clip(Placing placing) const {
    const ClipConfig clip{.vocab_size = config.at("vocab_size"),
                          .hidden_size = config.at("hidden_size"),
                          .intermediate_size = config.at("intermediate_size"),
                          .num_hidden_layers = config.at("num_hidden_layers"),
                          .num_attention_heads = config.at("num_attention_heads"),
                          .max_position_embeddings = config.at("max_position_embeddings"),
                          .eos_token_id = config.at("eos_token_id"),
                          .layer_norm_eps = config.at("layer_norm_eps"),
                          .quick_gelu = config.at("hidden_act") == "quick_gelu"};
    return ClipText(Weights(weights, placing), clip)(stored(*expected, "ids").to(placing.device)).cpu();
  }

  std::filesystem::path folder;
  nlohmann::json config;
  std::shared_ptr<const TensorSource> weights, expected;
};

/// Which encoder to run, and where.
struct Run {
  std::string kind;
  at::Tensor (Case::*run)(Placing) const;
  at::Device device = at::kCPU;
};

const Run t5{"t5", &Case::t5}, clip{"clip", &Case::clip};

void expect_equal_in_fp32(const Run& encoder) {
  for (int seed = 0; seed < seeds; ++seed) {
    const Case one(encoder.kind, seed);
    const auto value = (one.*encoder.run)({encoder.device, at::kFloat});
    EXPECT_LT(relative_to_largest(value, stored(*one.expected, "fp32")), 1e-5) << one.folder;
  }
}

/// Errors against transformers' fp32, ours at most 1.05 times its own.
void expect_as_exact(const Run& encoder, const std::string& name, at::ScalarType compute) {
  double ours = 0, theirs = 0;
  for (int seed = 0; seed < seeds; ++seed) {
    const Case one(encoder.kind, seed);
    const auto exact = stored(*one.expected, "fp32");
    const auto value = (one.*encoder.run)({encoder.device, compute});
    EXPECT_EQ(value.scalar_type(), compute);
    ours += relative_rms(value, exact);
    theirs += relative_rms(stored(*one.expected, name), exact);
  }
  EXPECT_LE(ours, 1.05 * theirs);
  EXPECT_GT(ours, 0.0);
}

TEST(T5Encoder, EqualsTransformersInFp32) { expect_equal_in_fp32(t5); }
TEST(T5Encoder, AsExactAsTransformersInBf16) { expect_as_exact(t5, "bf16", at::kBFloat16); }
TEST(T5Encoder, AsExactAsTransformersInFp16) { expect_as_exact(t5, "fp16", at::kHalf); }

TEST(ClipText, EqualsTransformersInFp32) { expect_equal_in_fp32(clip); }
TEST(ClipText, AsExactAsTransformersInBf16) { expect_as_exact(clip, "bf16", at::kBFloat16); }
TEST(ClipText, AsExactAsTransformersInFp16) { expect_as_exact(clip, "fp16", at::kHalf); }

class TextEncodersGpu : public testing::TestWithParam<Run> {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  }
};

TEST_P(TextEncodersGpu, EqualTransformers) {
  auto encoder = GetParam();
  encoder.device = at::kCUDA;
  expect_equal_in_fp32(encoder);
  expect_as_exact(encoder, "bf16", at::kBFloat16);
  expect_as_exact(encoder, "fp16", at::kHalf);
}

INSTANTIATE_TEST_SUITE_P(Kinds, TextEncodersGpu, testing::Values(t5, clip),
                         [](const auto& encoder) { return encoder.param.kind; });

}  // namespace
}  // namespace flux
