#include "runtime/generate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <deque>
#include <fstream>

#include "parallel/rank/errors.h"
#include "tests/parallel/ranks.h"
#include "tests/reference.h"

namespace flux {
namespace {

namespace fs = std::filesystem;

class GivenRequests : public Source {
 public:
  explicit GivenRequests(std::vector<Request> requests) : requests_(requests.begin(), requests.end()) {
    for (const auto& request : requests_) {
      pictures_ += request.pictures;
      if (request.error.empty()) largest_ = {request.prompt.picture.tokens(), request.prompt.max_sequence_length};
    }
  }
  std::optional<Request> next() override {
    if (requests_.empty()) return std::nullopt;
    Request request = requests_.front();
    requests_.pop_front();
    return request;
  }
  int64_t pictures() const override { return pictures_; }
  Workload workload() const override { return {largest_, pictures_}; }

 private:
  std::deque<Request> requests_;
  int64_t pictures_ = 0;
  Demand largest_{0, 0};
};

/// Runs of the demo model over ranks that are threads, into a folder of their own.
class GenerateOnThreads : public testing::TestWithParam<std::tuple<int, std::vector<int>>> {
 protected:
  GenerateOnThreads() {
    std::string name = (fs::temp_directory_path() / "flux-generate-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("no folder");
    folder = name;
  }
  ~GenerateOnThreads() override { fs::remove_all(folder); }

  std::vector<Request> requests(const std::vector<std::string>& prompts) const {
    std::vector<Request> made;
    for (const auto& prompt : prompts) {
      Request request;
      request.index = request.first_picture = static_cast<int64_t>(made.size());
      request.origin = "prompt " + std::to_string(request.index);
      request.prompt.prompt = prompt;
      request.prompt.num_inference_steps = 2;
      request.prompt.max_sequence_length = 16;
      request.prompt.picture = {32, 48, 5 + static_cast<uint64_t>(request.index), at::kFloat};
      made.push_back(request);
    }
    return made;
  }

  /// What every rank is given; rank 0 alone has the requests.
  GenerateRequest given(World& world, const std::vector<Request>& requests) const {
    GenerateRequest made{.folder = ModelFolder(model),
                         .model = "demo",
                         .placement = placement,
                         .operation = {},
                         .output = nullptr,
                         .source = nullptr};
    made.operation.progress = ProgressStyle::none;
    if (world.rank() != 0) return made;
    made.output = std::make_unique<OutputFolder>(OutputOptions{folder / "out", ImageFormat::png, Previous::overwrite});
    made.source = std::make_unique<GivenRequests>(requests);
    return made;
  }

  /// Every rank's exit code; what is Invalid on a rank is 2.
  std::vector<int> run(const std::vector<Request>& requests, int ranks) {
    std::vector<int> codes(ranks, -1);
    Departure departure(to_stderr);
    run_ranks(ranks, [&](World& world) {
      try {
        GenerateRequest mine = given(world, requests);
        codes[world.rank()] = run_generate(mine, world, departure);
      } catch (const Invalid&) {
        codes[world.rank()] = 2;
      }
    });
    return codes;
  }

  std::vector<nlohmann::json> journal() const {
    std::vector<nlohmann::json> lines;
    std::ifstream file(folder / "out" / "journal.jsonl");
    for (std::string line; std::getline(file, line);) {
      auto json = nlohmann::json::parse(line);
      if (json["event"] == "done") lines.push_back(std::move(json));
    }
    return lines;
  }

  fs::path folder;
  fs::path model = source_folder() / "configs" / "demo";
  PlacementOptions placement;
};

TEST_P(GenerateOnThreads, EveryPromptIsDrawnOnce) {
  const auto& [ranks, replicas] = GetParam();
  placement.replicas = replicas;
  EXPECT_THAT(
      run(requests({"a red circle", "a blue square", "a green triangle", "two circles", "a circle", "x"}), ranks),
      testing::Each(0));
  std::set<int64_t> drawn;
  for (const auto& line : journal()) {
    drawn.insert(line["index"].get<int64_t>());
    EXPECT_TRUE(fs::exists(folder / "out" / line["file"].get<std::string>()));
  }
  EXPECT_EQ(drawn.size(), 6u);
  EXPECT_EQ(journal().size(), 6u);
}

TEST_P(GenerateOnThreads, ABadRequestFailsAlone) {
  const auto& [ranks, replicas] = GetParam();
  placement.replicas = replicas;
  auto made = requests({"a red circle", "", "a green triangle"});
  made[1].error = "the line is empty";
  EXPECT_THAT(run(made, ranks), testing::Each(1));
  EXPECT_EQ(journal().size(), 3u);
  for (const auto& line : journal()) EXPECT_EQ(line["status"], line["index"] == 1 ? "failed" : "drawn");
}

INSTANTIATE_TEST_SUITE_P(Worlds, GenerateOnThreads,
                         testing::Values(std::tuple(1, std::vector<int>{}), std::tuple(2, std::vector<int>{}),
                                         std::tuple(3, std::vector<int>{}), std::tuple(4, std::vector<int>{1, 2}),
                                         std::tuple(5, std::vector<int>{2})));

class Generate : public GenerateOnThreads {};

TEST_F(Generate, WhatIsWrongWithTheRunIsExitCode2OnEveryRank) {
  placement.ranks_per_replica = 2;
  EXPECT_THAT(run(requests({"a red circle"}), 4), testing::Each(2)) << "a world that does not fit";
  EXPECT_FALSE(fs::exists(folder / "out")) << "the folder is made, and taken back";
}

TEST_F(Generate, AModelWithoutATensorIsExitCode2OnEveryRank) {
  model = folder / "model";
  fs::create_directory(model);
  fs::copy(source_folder() / "configs" / "demo", model, fs::copy_options::recursive);
  fs::copy(model / "vae" / "diffusion_pytorch_model.safetensors",
           model / "transformer" / "diffusion_pytorch_model.safetensors", fs::copy_options::overwrite_existing);
  EXPECT_THAT(run(requests({"a red circle"}), 3), testing::Each(2));
}

TEST_F(Generate, ARequestOfSeveralPicturesIsEncodedOnce) {
  auto made = requests({"a red circle"});
  made[0].pictures = 3;
  made[0].id = "00ff";
  EXPECT_THAT(run(made, 2), testing::Each(0));
  ASSERT_EQ(journal().size(), 3u);
  for (const auto& line : journal()) {  // in the order in which several threads wrote their files
    EXPECT_EQ(line["seed"], 5 + line["index"].get<uint64_t>());
    EXPECT_EQ(line["request"], "00ff");
    EXPECT_EQ(line["seconds"]["encode"], journal()[0]["seconds"]["encode"]);
  }
}

}  // namespace
}  // namespace flux
