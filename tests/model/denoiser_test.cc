#include "model/denoiser.h"

#include <gtest/gtest.h>

#include "model/linear/linear.h"
#include "model/schedule.h"
#include "model/transformer/modulation.h"
#include "tests/model/comparison.h"
#include "tests/model/transformer/one_rank.h"
#include "tests/reference.h"

namespace flux {
namespace {

/// A model folder with what FluxPipeline was given and made of it.
struct PipelineCase {
  explicit PipelineCase(int index)
      : path(reference("transformer") / ("pipeline_" + std::to_string(index))),
        expected(open_component(path / "expected")),
        arguments(json(path / "expected" / "arguments.json")),
        picture{arguments["height"], arguments["width"], arguments["seed"], at::kFloat} {}

  std::filesystem::path path;
  std::shared_ptr<const TensorSource> expected;
  nlohmann::json arguments;
  Picture picture;
};

Conditioning conditioning_of(const PipelineCase& item, const Checkpoint& checkpoint) {
  const auto& config = checkpoint.folder.transformer;
  const Weights weights(checkpoint.open("transformer"), {});
  const Modulation modulation(weights, config);
  const Linear context_embedder(weights, {"context_embedder"}, config.hidden_size(), config.joint_attention_dim);

  Conditioning conditioning;
  conditioning.sigmas =
      sigmas(checkpoint.folder.scheduler, item.arguments["num_inference_steps"], item.picture.tokens());
  conditioning.true_cfg_scale = item.arguments.value("true_cfg_scale", 1.0);
  const auto steps = timesteps(checkpoint.folder.scheduler, conditioning.sigmas);
  for (const std::string prefix : {"", "negative_"}) {
    conditioning.branches.push_back(
        {context_embedder(stored(*item.expected, prefix + "txt")),
         modulation(steps, item.arguments["guidance_scale"], stored(*item.expected, prefix + "pooled"))});
  }
  if (conditioning.true_cfg_scale <= 1.0) conditioning.branches.pop_back();
  return conditioning;
}

class DenoiserPipeline : public testing::TestWithParam<int> {};

TEST_P(DenoiserPipeline, EqualsFluxPipeline) {
  const PipelineCase item(GetParam());
  const auto checkpoint = published(ModelFolder(item.path));
  const auto conditioning = conditioning_of(item, checkpoint);

  const OneRank sequence;
  Denoiser denoiser(checkpoint, {}, *sequence, {item.picture.tokens(), conditioning.branches.front().txt.size(0)});
  std::vector<int64_t> seen;
  const auto latents = denoiser(conditioning, item.picture, [&](int64_t step, int64_t) { seen.push_back(step); });

  EXPECT_LE(relative_to_largest(latents, stored(*item.expected, "latents")), 1e-5);
  ASSERT_EQ(seen.size(), conditioning.sigmas.size() - 1);
  EXPECT_EQ(seen.front(), 1);
}

TEST_P(DenoiserPipeline, NoiseEqualsFluxPipeline) {
  const PipelineCase item(GetParam());
  auto picture = item.picture;
  for (const auto& [name, dtype] :
       {std::pair("float32", at::kFloat), std::pair("bfloat16", at::kBFloat16), std::pair("float16", at::kHalf)}) {
    picture.noise_dtype = dtype;
    const auto expected = stored(*item.expected, std::string("noise_") + name);
    EXPECT_TRUE(at::equal(noise(picture, expected.size(1)), expected.to(at::kFloat))) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Denoiser, DenoiserPipeline, testing::Range(0, 3));

}  // namespace
}  // namespace flux
