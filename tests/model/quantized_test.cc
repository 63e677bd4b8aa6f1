// A folder that bitsandbytes quantized is computed with as it is.

#include <gtest/gtest.h>

#include "model/decoder.h"
#include "model/denoiser.h"
#include "model/encoder.h"
#include "model/encoder_modules.h"
#include "model/full_precision.h"
#include "model/transformer/cut.h"
#include "tests/model/comparison.h"
#include "tests/parallel/ranks.h"
#include "tests/reference.h"

namespace flux {
namespace {

Formats formats_of(const ModelFolder& folder) {
  const Quantization& transformer = folder.transformer.quantization;
  return {transformer.format, folder.text_encoder_2.quantization.format, transformer.modulation};
}

Prompt request() {
  const nlohmann::json line = json(reference("quantized") / "request.json");
  Prompt prompt;
  prompt.prompt = line.at("prompt");
  prompt.prompt_2 = line.at("prompt_2").get<std::string>();
  prompt.guidance_scale = line.at("guidance_scale");
  prompt.num_inference_steps = line.at("num_inference_steps");
  prompt.max_sequence_length = 32;
  prompt.picture = {.height = line.at("height"), .width = line.at("width"), .seed = line.at("seed")};
  prompt.picture.noise_dtype = at::kFloat;
  return prompt;
}

void check_picture(const std::string& kind, World& world, at::Device device) {
  const Checkpoint checkpoint = published(ModelFolder(reference("quantized") / kind));
  const Formats formats = formats_of(checkpoint.folder);
  const auto sequence = everybody(world, device);
  const Placing placing{device};
  const Encoder encoder(checkpoint, placing, formats);
  const Decoder decoder(checkpoint, placing);
  Prompt prompt = request();
  prompt.picture.token_side = checkpoint.folder.vae.token_side();
  Denoiser denoiser(checkpoint, {device, at::kFloat, formats.transformer}, *sequence,
                    {prompt.picture.tokens(), prompt.max_sequence_length});
  const auto latents = denoiser(encoder(prompt, [](const std::string&) {}), prompt.picture, [](int64_t, int64_t) {});
  const auto expected = open_component(reference("quantized") / "pictures");
  const at::Tensor picture = stored(*expected, kind).to(at::kInt);
  EXPECT_LE((decoder(latents, prompt.picture).rgb.to(at::kInt) - picture).abs().max().item<int>(), 1) << kind;
  const at::Tensor apart = stored(*expected, kind == "int8" ? "nf4" : "dense").to(at::kInt) - picture;
  EXPECT_GT(apart.abs().max().item<int>(), 10) << "nothing that a quantization shows in";
}

class QuantizedPipeline : public testing::TestWithParam<std::tuple<std::string, int>> {};

TEST_P(QuantizedPipeline, DrawsWhatDiffusersDrawsWithTheSameValues) {
  const auto& [kind, ranks] = GetParam();
  run_ranks(ranks, [&, kind = kind](World& world) { check_picture(kind, world, at::kCPU); });
}

INSTANTIATE_TEST_SUITE_P(Kinds, QuantizedPipeline,
                         testing::Combine(testing::Values("nf4", "fp4", "int8"), testing::Values(1, 3)));

class QuantizedPipelineGpu : public testing::TestWithParam<std::string> {};

TEST_P(QuantizedPipelineGpu, DrawsWhatDiffusersDrawsWithTheSameValues) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  demand_full_precision();
  run_ranks(1, [](World& world) { check_picture(GetParam(), world, at::kCUDA); });
}

INSTANTIATE_TEST_SUITE_P(Kinds, QuantizedPipelineGpu, testing::Values("nf4", "fp4", "int8"));

/// What headers say is what loading takes, in fp32 and in what T5 keeps wider.
TEST(QuantizedBytes, AreKnownBeforeLoading) {
  for (const std::string kind : {"nf4", "fp4", "int8"}) {
    for (const at::ScalarType compute : {at::kFloat, at::kHalf}) {
      const ModelFolder folder(reference("quantized") / kind);
      const Formats formats = formats_of(folder);
      const EncoderModules loaded(published(folder), {at::kCPU, compute}, formats);
      EXPECT_EQ(EncoderModules(shapes_only(folder), {at::kMeta, compute}, formats).bytes(), loaded.bytes()) << kind;
      const EncoderModules dense(published(folder), {at::kCPU, compute}, {});
      EXPECT_LT(loaded.bytes().at("modulation"), dense.bytes().at("modulation")) << kind;
      EXPECT_LT(loaded.bytes().at("text_encoder_2"), dense.bytes().at("text_encoder_2")) << kind;
      run_ranks(1, [&](World& world) {
        const auto sequence = everybody(world, at::kCPU);
        const auto bytes = [&](const Checkpoint& checkpoint) {
          return Denoiser(checkpoint, {at::kCPU, compute, formats.transformer}, *sequence, {12, 32}).weight_bytes();
        };
        EXPECT_EQ(bytes(shapes_only(folder)), bytes(published(folder))) << kind;
      });
    }
  }
}

}  // namespace
}  // namespace flux
