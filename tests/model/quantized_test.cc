// A folder that is quantized already, by bitsandbytes or to fp8, is computed with as it is.

#include <gtest/gtest.h>

#include "model/decoder.h"
#include "model/denoiser.h"
#include "model/encoder.h"
#include "model/encoder_modules.h"
#include "model/transformer/cut.h"
#include "tests/model/comparison.h"
#include "tests/parallel/ranks.h"
#include "tests/reference.h"

namespace flux {
namespace {

struct Kind {
  std::string name;
  bool fp8;
  std::string apart;      // of whose picture its own must differ
  bool llm_int8 = false;  // 8 bits, computed so

  std::filesystem::path references() const { return fp8 ? reference("fp8") : reference("quantized"); }
  std::string picture() const { return llm_int8 ? name + "-outliers" : name; }
  ModelFolder folder() const { return ModelFolder(references() / name); }
};

void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.picture(); }

const Kind kinds[] = {{"nf4", false, "dense"},       {"fp4", false, "dense"},  {"int8", false, "nf4"},
                      {"int8", false, "int8", true}, {"plain", true, "dense"}, {"scaled", true, "plain"},
                      {"rows", true, "plain"}};

Formats formats_of(const Kind& kind, const ModelFolder& folder) {
  const Quantization& transformer = folder.transformer.quantization;
  if (kind.llm_int8) return {Format::int8_outliers, Format::int8_outliers, transformer.modulation};
  return {transformer.format, folder.text_encoder_2.quantization.format, transformer.modulation};
}

Prompt request(const Kind& kind) {
  const nlohmann::json line = json(kind.references() / "request.json");
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

/// Where activations are rounded, a code that falls otherwise changes all that follows: two that round alike are as far
/// from each other as from one that does not round them, times the root of two at most.
void expect_as_near(const at::Tensor& drawn, const at::Tensor& picture, const at::Tensor& unrounded) {
  const auto rms = [](const at::Tensor& difference) {
    return difference.to(at::kDouble).square().mean().sqrt().item<double>();
  };
  EXPECT_LE(rms(drawn - picture), 1.5 * rms(picture - unrounded));
  EXPECT_NEAR(rms(drawn - unrounded), rms(picture - unrounded), 0.3 * rms(picture - unrounded));
}

void check_picture(const Kind& kind, World& world, at::Device device) {
  const Checkpoint checkpoint = published(kind.folder());
  const Formats formats = formats_of(kind, checkpoint.folder);
  const auto sequence = everybody(world, device);
  const Placing placing{device};
  const Encoder encoder(checkpoint, placing, formats);
  const Decoder decoder(checkpoint, placing);
  Prompt prompt = request(kind);
  prompt.picture.token_side = checkpoint.folder.vae.token_side();
  Denoiser denoiser(checkpoint, {device, at::kFloat, formats.transformer}, *sequence,
                    {prompt.picture.tokens(), prompt.max_sequence_length});
  const auto latents = denoiser(encoder(prompt, [](const std::string&) {}), prompt.picture, [](int64_t, int64_t) {});
  const auto expected = open_component(kind.references() / "pictures");
  const at::Tensor picture = stored(*expected, kind.picture()).to(at::kInt);
  const at::Tensor drawn = decoder(latents, prompt.picture).rgb.to(at::kInt);
  const at::Tensor apart = stored(*expected, kind.apart).to(at::kInt);
  if (kind.llm_int8) return expect_as_near(drawn, picture, apart);
  EXPECT_LE((drawn - picture).abs().max().item<int>(), 1);
  EXPECT_GT((apart - picture).abs().max().item<int>(), 10) << "nothing that a quantization shows in";
}

class QuantizedPipeline : public testing::TestWithParam<std::tuple<Kind, int>> {};

TEST_P(QuantizedPipeline, DrawsWhatDiffusersDrawsWithTheSameValues) {
  const auto& [kind, ranks] = GetParam();
  run_ranks(ranks, [&kind = kind](World& world) { check_picture(kind, world, at::kCPU); });
}

INSTANTIATE_TEST_SUITE_P(Kinds, QuantizedPipeline, testing::Combine(testing::ValuesIn(kinds), testing::Values(1, 3)));

class QuantizedPipelineGpu : public testing::TestWithParam<Kind> {};

TEST_P(QuantizedPipelineGpu, DrawsWhatDiffusersDrawsWithTheSameValues) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  run_ranks(1, [](World& world) { check_picture(GetParam(), world, at::kCUDA); });
}

INSTANTIATE_TEST_SUITE_P(Kinds, QuantizedPipelineGpu, testing::ValuesIn(kinds));

/// What headers say is what loading takes, in fp32 and in what T5 keeps wider.
TEST(QuantizedBytes, AreKnownBeforeLoading) {
  for (const Kind& kind : kinds) {
    SCOPED_TRACE(kind.picture());
    for (const at::ScalarType compute : {at::kFloat, at::kHalf}) {
      const ModelFolder folder = kind.folder();
      const Formats formats = formats_of(kind, folder);
      const EncoderModules loaded(published(folder), {at::kCPU, compute}, formats);
      EXPECT_EQ(EncoderModules(shapes_only(folder), {at::kMeta, compute}, formats).bytes(), loaded.bytes());
      const EncoderModules dense(published(folder), {at::kCPU, compute}, {});
      if (formats.modulation != Format::dense) {
        EXPECT_LT(loaded.bytes().at("modulation"), dense.bytes().at("modulation"));
      }
      EXPECT_LT(loaded.bytes().at("text_encoder_2"), dense.bytes().at("text_encoder_2"));
      run_ranks(1, [&](World& world) {
        const auto sequence = everybody(world, at::kCPU);
        const auto bytes = [&](const Checkpoint& checkpoint) {
          return Denoiser(checkpoint, {at::kCPU, compute, formats.transformer}, *sequence, {12, 32}).weight_bytes();
        };
        EXPECT_EQ(bytes(shapes_only(folder)), bytes(published(folder)));
      });
    }
  }
}

}  // namespace
}  // namespace flux
