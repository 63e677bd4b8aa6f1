#include "model/encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "model/decoder.h"
#include "model/transformer/modulation_layout.h"
#include "parallel/rank/errors.h"
#include "tests/model/checkpoint/recorder.h"
#include "tests/reference.h"

namespace flux {
namespace {

const std::function<void(const std::string&)> no_warning = [](const std::string& text) { FAIL() << text; };

ModelFolder demo() { return ModelFolder(source_folder() / "configs/demo"); }

/// A checkpoint that remembers what was read of it.
struct Recorded {
  explicit Recorded(Checkpoint source) : checkpoint(std::move(source)) {
    checkpoint.open = [this, open = checkpoint.open](const std::string& component) {
      auto& recorder = recorders[component];
      recorder = std::make_shared<Recorder>(open(component));
      return recorder;
    };
  }

  Checkpoint checkpoint;
  std::map<std::string, std::shared_ptr<const Recorder>> recorders;
};

/// Of the transformer, what sees the prompt but no picture.
bool is_conditioning(const std::string& name) {
  for (const auto* part : {"time_text_embed.", "context_embedder.", "norm1.linear.", "norm1_context.linear.",
                           ".norm.linear.", "norm_out.linear."}) {
    if (name.find(part) != std::string::npos) return true;
  }
  return false;
}

TEST(Encoder, ReadsItsTensorsAlone) {
  Recorded recorded(random_weights(demo(), 1));
  const Encoder encoder(recorded.checkpoint, {});

  EXPECT_THAT(recorded.recorders, testing::SizeIs(3));  // both text encoders, the transformer, no VAE
  for (const auto& [component, recorder] : recorded.recorders) {
    const auto read = recorder->read_names();
    for (const auto& name : recorder->names()) {
      EXPECT_EQ(read.contains(name), component != "transformer" || is_conditioning(name)) << component << " " << name;
    }
  }
}

TEST(Decoder, ReadsItsTensorsAlone) {
  Recorded recorded(random_weights(demo(), 1));
  const Decoder decoder(recorded.checkpoint, {});

  ASSERT_THAT(recorded.recorders, testing::ElementsAre(testing::Key("vae")));
  for (const auto& name : recorded.recorders["vae"]->read_names()) {
    EXPECT_TRUE(name.starts_with("decoder.") || name.starts_with("post_quant_conv.")) << name;
  }
}

TEST(Encoder, ConditionsEveryStepAtOnce) {
  const auto folder = demo();
  const Encoder encoder(random_weights(folder, 1), {});
  const Prompt prompt{"a circle", {}, "a square", {}, 3.0, 3.5, 5, {}, 24, {.height = 64, .width = 32}};

  const auto conditioning = encoder(prompt, no_warning);

  EXPECT_EQ(conditioning.sigmas.size(), 6U);
  EXPECT_EQ(conditioning.true_cfg_scale, 3.0);
  ASSERT_EQ(conditioning.branches.size(), 2U);
  for (const auto& branch : conditioning.branches) {
    EXPECT_EQ(branch.txt.sizes(), (std::vector<int64_t>{24, folder.transformer.hidden_size()}));
    EXPECT_EQ(branch.modulation.sizes(), (std::vector<int64_t>{5, ModulationLayout(folder.transformer).size()}));
  }
}

TEST(Encoder, TakesANegativePromptOnlyWithTrueCfg) {
  const Encoder encoder(random_weights(demo(), 1), {});
  Prompt prompt{"a circle", {}, "a square", {}, 1.0, 3.5, 1, {}, 8, {}};
  EXPECT_EQ(encoder(prompt, no_warning).branches.size(), 1U);
  prompt.true_cfg_scale = 1.5;
  EXPECT_EQ(encoder(prompt, no_warning).branches.size(), 2U);
  prompt.negative_prompt.reset();
  prompt.negative_prompt_2 = "a square";
  EXPECT_EQ(encoder(prompt, no_warning).branches.size(), 1U);
}

TEST(Encoder, RefusesIdsPastTheEmbedding) {
  const auto refusal = [](const ModelFolder& folder) -> std::string {
    const Encoder encoder(random_weights(folder, 1), {});
    try {
      encoder({"a red circle", {}, {}, {}, 1.0, 3.5, 1, {}, 8, {}}, no_warning);
    } catch (const Invalid& error) {
      return error.what();
    }
    return "";
  };
  auto folder = demo();
  folder.text_encoder.vocab_size = 300;  // <|endoftext|> is 656
  EXPECT_THAT(refusal(folder), testing::HasSubstr("of text_encoder:"));
  folder = demo();
  folder.text_encoder_2.vocab_size = 5;
  EXPECT_THAT(refusal(folder), testing::HasSubstr("of text_encoder_2:"));
}

/// What plan does.
TEST(Stages, BuildFromShapesAlone) {
  const auto checkpoint = shapes_only(demo());
  EXPECT_NO_THROW(Encoder(checkpoint, {at::kCPU, at::kHalf}));
  EXPECT_NO_THROW(Decoder(checkpoint, {at::kCPU, at::kHalf}));
}

}  // namespace
}  // namespace flux
