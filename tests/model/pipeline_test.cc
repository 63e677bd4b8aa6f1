#include <gtest/gtest.h>

#include <fstream>
#include <vector>

#include "model/decoder.h"
#include "model/denoiser.h"
#include "model/encoder.h"
#include "model/transformer/cut.h"
#include "tests/model/comparison.h"
#include "tests/parallel/ranks.h"
#include "tests/reference.h"

namespace flux {
namespace {

/// A line of requests.jsonl: diffusers' parameter names.
struct Request {
  std::string model;
  Prompt prompt;
  int64_t pictures;
};

std::optional<std::string> text(const nlohmann::json& line, const char* name) {
  if (!line.contains(name)) return std::nullopt;
  return line.at(name).get<std::string>();
}

Request request(const nlohmann::json& line) {
  const std::map<std::string, at::ScalarType> dtypes = {
      {"fp32", at::kFloat}, {"bf16", at::kBFloat16}, {"fp16", at::kHalf}};
  return {.model = line.at("model"),
          .prompt = {.prompt = line.at("prompt"),
                     .prompt_2 = text(line, "prompt_2"),
                     .negative_prompt = text(line, "negative_prompt"),
                     .negative_prompt_2 = text(line, "negative_prompt_2"),
                     .true_cfg_scale = line.value("true_cfg_scale", 1.0),
                     .guidance_scale = line.value("guidance_scale", 0.0),
                     .num_inference_steps = line.value("num_inference_steps", 28),
                     .sigmas = line.value("sigmas", std::vector<double>{}),
                     .max_sequence_length = line.value("max_sequence_length", 32),
                     .picture = {.height = line.at("height"),
                                 .width = line.at("width"),
                                 .seed = line.at("seed"),
                                 .noise_dtype = dtypes.at(line.value("noise_dtype", "fp32"))}},
          .pictures = line.value("num_images_per_prompt", 1)};
}

std::vector<Request> requests() {
  std::vector<Request> all;
  std::ifstream file(reference("pipeline") / "requests.jsonl");
  for (std::string line; std::getline(file, line);) all.push_back(request(nlohmann::json::parse(line)));
  return all;
}

/// All three stages of a model on every rank of a world.
class Stages {
 public:
  Stages(const std::string& model, World& world, at::Device device = at::kCPU)
      : checkpoint_(published(ModelFolder(reference("pipeline") / model))),
        sequence_(everybody(world, device)),
        encoder_(checkpoint_, {device}),
        decoder_(checkpoint_, {device}),
        denoiser_(checkpoint_, {device}, *sequence_, {.image_tokens = 35, .text_tokens = 64}) {}

  at::Tensor draw(Prompt prompt) {  // [height, width, 3], as int32
    prompt.picture.token_side = checkpoint_.folder.vae.token_side();
    const auto latents = denoiser_(encoder_(prompt, warn_), prompt.picture, [](int64_t, int64_t) {});
    return decoder_(latents, prompt.picture).rgb.to(at::kInt);
  }

  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  std::vector<std::string> warnings_;
  std::function<void(const std::string&)> warn_ = [this](const std::string& text) { warnings_.push_back(text); };
  Checkpoint checkpoint_;
  std::unique_ptr<Communicator> sequence_;
  Encoder encoder_;
  Decoder decoder_;
  Denoiser denoiser_;
};

void check_pictures_on(at::Device device, World& world) {
  const auto expected = open_component(reference("pipeline") / "pictures");
  std::map<std::string, Stages> models;
  int line = 0;
  for (auto [model, prompt, pictures] : requests()) {
    auto& stages = models.try_emplace(model, model, world, device).first->second;
    for (int64_t i = 0; i < pictures; ++i, ++prompt.picture.seed) {
      const auto picture = stored(*expected, std::to_string(line) + "_" + std::to_string(i)).to(at::kInt);
      EXPECT_LE((stages.draw(prompt) - picture).abs().max().item<int>(), 1) << "request " << line << " picture " << i;
      EXPECT_GT(picture.to(at::kFloat).std().item<float>(), 25) << "no picture worth comparing";
    }
    ++line;
  }
}

void check_pictures(World& world) { check_pictures_on(at::kCPU, world); }

class Pipeline : public testing::TestWithParam<int> {};
TEST_P(Pipeline, DrawsThePicturesOfFluxPipeline) { run_ranks(GetParam(), check_pictures); }
INSTANTIATE_TEST_SUITE_P(Ranks, Pipeline, testing::ValuesIn(rank_counts({1, 3})));

TEST(PipelineGpu, DrawsThePicturesOfFluxPipeline) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  run_ranks(1, [](World& world) { check_pictures_on(at::kCUDA, world); });
}

/// The pictures above are equal because every input reaches them, not because none does.
TEST(PipelineInputs, ShowInThePicture) {
  run_ranks(1, [](World& world) {
    Stages stages("dev", world);
    auto prompt = requests().at(1).prompt;
    const auto picture = stages.draw(prompt);
    const auto expect_change = [&](const std::string& input, const Prompt& changed) {
      EXPECT_GT((stages.draw(changed) - picture).abs().max().item<int>(), 4) << input;
    };
    auto changed = prompt;
    changed.prompt = "something else";
    expect_change("prompt", changed);
    changed = prompt;
    changed.prompt_2 = "something else";
    expect_change("prompt_2", changed);
    changed = prompt;
    changed.guidance_scale = 1;
    expect_change("guidance_scale", changed);
    changed = prompt;
    changed.max_sequence_length = 64;  // padding takes part
    expect_change("max_sequence_length", changed);
    changed = prompt;
    changed.negative_prompt = "";
    changed.true_cfg_scale = 2;
    expect_change("negative_prompt", changed);
  });
}

TEST(PipelineInputs, ThatAreTooLongAreNamed) {
  run_ranks(1, [](World& world) {
    Stages stages("dev", world);
    auto prompt = requests().front().prompt;
    prompt.max_sequence_length = 3;
    stages.draw(prompt);
    ASSERT_EQ(stages.warnings().size(), 1U);  // CLIP has room
    EXPECT_NE(stages.warnings()[0].find("circle"), std::string::npos) << stages.warnings()[0];
    EXPECT_NE(stages.warnings()[0].find("3 tokens"), std::string::npos) << stages.warnings()[0];
  });
}

}  // namespace
}  // namespace flux
