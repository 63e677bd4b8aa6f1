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

  at::Tensor t5(at::ScalarType compute) const {
    const T5Config t5{.vocab_size = config.at("vocab_size"),
                      .d_model = config.at("d_model"),
                      .d_kv = config.at("d_kv"),
                      .d_ff = config.at("d_ff"),
                      .num_layers = config.at("num_layers"),
                      .num_heads = config.at("num_heads"),
                      .relative_attention_num_buckets = config.at("relative_attention_num_buckets"),
                      .relative_attention_max_distance = config.at("relative_attention_max_distance"),
                      .layer_norm_epsilon = config.at("layer_norm_epsilon")};
    return T5Encoder(Weights(weights, {at::kCPU, compute}), t5)(stored(*expected, "ids"));
  }

  at::Tensor clip(at::ScalarType compute) const {
    const ClipConfig clip{.vocab_size = config.at("vocab_size"),
                          .hidden_size = config.at("hidden_size"),
                          .intermediate_size = config.at("intermediate_size"),
                          .num_hidden_layers = config.at("num_hidden_layers"),
                          .num_attention_heads = config.at("num_attention_heads"),
                          .max_position_embeddings = config.at("max_position_embeddings"),
                          .eos_token_id = config.at("eos_token_id"),
                          .layer_norm_eps = config.at("layer_norm_eps"),
                          .quick_gelu = config.at("hidden_act") == "quick_gelu"};
    return ClipText(Weights(weights, {at::kCPU, compute}), clip)(stored(*expected, "ids"));
  }

  std::filesystem::path folder;
  nlohmann::json config;
  std::shared_ptr<const TensorSource> weights, expected;
};

using Run = at::Tensor (Case::*)(at::ScalarType) const;

void expect_equal_in_fp32(const std::string& kind, Run run) {
  for (int seed = 0; seed < seeds; ++seed) {
    const Case one(kind, seed);
    EXPECT_LT(relative_to_largest((one.*run)(at::kFloat), stored(*one.expected, "fp32")), 1e-5) << one.folder;
  }
}

/// Errors against transformers' fp32, ours at most 1.05 times its own.
void expect_as_exact(const std::string& kind, Run run, const std::string& name, at::ScalarType compute) {
  double ours = 0, theirs = 0;
  for (int seed = 0; seed < seeds; ++seed) {
    const Case one(kind, seed);
    const auto exact = stored(*one.expected, "fp32");
    const auto value = (one.*run)(compute);
    EXPECT_EQ(value.scalar_type(), compute);
    ours += relative_rms(value, exact);
    theirs += relative_rms(stored(*one.expected, name), exact);
  }
  EXPECT_LE(ours, 1.05 * theirs);
  EXPECT_GT(ours, 0.0);
}

TEST(T5Encoder, EqualsTransformersInFp32) { expect_equal_in_fp32("t5", &Case::t5); }
TEST(T5Encoder, AsExactAsTransformersInBf16) { expect_as_exact("t5", &Case::t5, "bf16", at::kBFloat16); }
TEST(T5Encoder, AsExactAsTransformersInFp16) { expect_as_exact("t5", &Case::t5, "fp16", at::kHalf); }

TEST(ClipText, EqualsTransformersInFp32) { expect_equal_in_fp32("clip", &Case::clip); }
TEST(ClipText, AsExactAsTransformersInBf16) { expect_as_exact("clip", &Case::clip, "bf16", at::kBFloat16); }
TEST(ClipText, AsExactAsTransformersInFp16) { expect_as_exact("clip", &Case::clip, "fp16", at::kHalf); }

}  // namespace
}  // namespace flux
