#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/layers.h"
#include "model/encoder.h"
#include "model/encoder_modules.h"
#include "parallel/rank/device.h"
#include "parallel/rank/stage_stream.h"
#include "tests/reference.h"

namespace flux {
namespace {

/// The demo with a T5 of six blocks.
ModelFolder deep() {
  ModelFolder folder(source_folder() / "configs/demo");
  folder.text_encoder_2.num_layers = 6;
  return folder;
}

EncoderModules shapes(Residency residency) {
  return EncoderModules(shapes_only(deep()), {at::kMeta, at::kFloat, Format::dense, residency}, {});
}

TEST(Streamed, KeepsTwoLayersOnTheDeviceAndAllOnTheHost) {
  const EncoderModules resident = shapes(Residency::resident), streamed = shapes(Residency::streamed);
  const int64_t d = deep().text_encoder_2.d_model, inner = deep().text_encoder_2.num_heads * deep().text_encoder_2.d_kv;
  const int64_t block = 4 * (4 * d * inner + 3 * d * deep().text_encoder_2.d_ff + 2 * d);  // bytes
  EXPECT_EQ(resident.bytes_on_host(), 0);
  EXPECT_NEAR(resident.bytes().at("text_encoder_2") - streamed.bytes().at("text_encoder_2"), 4 * block, 4 * 8 * 256);
  EXPECT_GT(streamed.bytes_on_host(), 6 * block);
  EXPECT_LT(streamed.bytes().at("modulation"), resident.bytes().at("modulation"));
  EXPECT_EQ(streamed.bytes().at("text_encoder"), resident.bytes().at("text_encoder"));
}

using Setting = std::tuple<at::ScalarType, Format>;

class StreamedSuite : public testing::TestWithParam<Setting> {
 protected:
  /// Several prompts one after the other: the places hold other layers when each begins.
  static void expect_the_same_bits(at::Device device) {
    const c10::InferenceMode no_gradients;
    const c10::DeviceGuard current(device);
    const StageStream stream(device);
    const auto& [dtype, format] = GetParam();
    const Checkpoint checkpoint = random_weights(deep(), 1);
    const Formats formats{.text_encoder = format, .modulation = format};
    const Encoder resident(checkpoint, {device, dtype}, formats);
    const Encoder streamed(checkpoint, {device, dtype, Format::dense, Residency::streamed}, formats);
    const auto warn = [](const std::string&) {};
    for (const std::string text : {"a red circle", "a blue square left of a green one", ""}) {
      Prompt prompt;
      prompt.prompt = text;
      prompt.max_sequence_length = 32;
      const Conditioning expected = resident(prompt, warn), found = streamed(prompt, warn);
      EXPECT_TRUE(at::equal(found.branches[0].txt, expected.branches[0].txt)) << text;
      EXPECT_TRUE(at::equal(found.branches[0].modulation, expected.branches[0].modulation)) << text;
    }
  }
};

class StreamedEncoder : public StreamedSuite {};
class StreamedGpu : public StreamedSuite {};

TEST_P(StreamedEncoder, EncodesTheSameBits) { expect_the_same_bits(at::kCPU); }

TEST_P(StreamedGpu, EncodesTheSameBits) {
  if (visible_cards().empty()) GTEST_SKIP() << "no CUDA device";
  expect_the_same_bits(at::Device(at::kCUDA, 0));
}

INSTANTIATE_TEST_SUITE_P(Formats, StreamedEncoder,
                         testing::Combine(testing::Values(at::kFloat),
                                          testing::Values(Format::dense, Format::int8, Format::int8_weights)));
INSTANTIATE_TEST_SUITE_P(Formats, StreamedGpu,
                         testing::Combine(testing::Values(at::kBFloat16, at::kHalf),
                                          testing::Values(Format::dense, Format::int8_weights)));

}  // namespace
}  // namespace flux
