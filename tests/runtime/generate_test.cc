#include "runtime/generate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <mutex>

#include "tests/parallel/ranks.h"
#include "tests/reference.h"

namespace flux {
namespace {

namespace fs = std::filesystem;

/// Runs of the demo model over ranks that are threads, into a folder of their own.
class GenerateOnThreads : public testing::TestWithParam<std::tuple<int, std::vector<int>>> {
 protected:
  GenerateOnThreads() {
    std::string name = (fs::temp_directory_path() / "flux-generate-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("no folder");
    folder = name;
  }
  ~GenerateOnThreads() override { fs::remove_all(folder); }

  GenerateRequest request(const std::vector<std::string>& prompts) const {
    GenerateRequest made{ModelFolder(source_folder() / "configs" / "demo"), {}, {}, {}, {}};
    made.output.folder = folder;
    made.output.overwrite = true;
    made.operation.progress = ProgressStyle::none;
    for (const auto& prompt : prompts) {
      Job job;
      job.index = static_cast<int64_t>(made.jobs.size());
      job.origin = "prompt " + std::to_string(job.index);
      job.prompt.prompt = prompt;
      job.prompt.num_inference_steps = 2;
      job.prompt.max_sequence_length = 16;
      job.prompt.picture = {32, 48, 5 + static_cast<uint64_t>(job.index), at::kFloat};
      made.jobs.push_back(job);
    }
    return made;
  }

  /// Every rank's exit code. Only rank 0 has the jobs.
  std::vector<int> run(const GenerateRequest& made, int ranks) {
    std::vector<int> codes(ranks, -1);
    Departure departure(to_stderr);
    run_ranks(ranks, [&](World& world) {
      GenerateRequest mine = made;
      if (world.rank() != 0) mine.jobs.clear();
      codes[world.rank()] = run_generate(mine, world, departure);
    });
    return codes;
  }

  std::vector<nlohmann::json> journal() const {
    std::vector<nlohmann::json> lines;
    std::ifstream file(folder / "journal.jsonl");
    for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
  }

  fs::path folder;
};

TEST_P(GenerateOnThreads, EveryPromptIsDrawnOnce) {
  const auto& [ranks, replicas] = GetParam();
  auto made = request({"a red circle", "a blue square", "a green triangle", "two circles", "a circle", "x"});
  made.placement.replicas = replicas;
  EXPECT_THAT(run(made, ranks), testing::Each(0));
  std::set<int64_t> drawn;
  for (const auto& line : journal()) {
    drawn.insert(line["index"].get<int64_t>());
    EXPECT_TRUE(fs::exists(folder / line["file"].get<std::string>()));
  }
  EXPECT_EQ(drawn.size(), 6u);
  EXPECT_EQ(journal().size(), 6u);
}

TEST_P(GenerateOnThreads, ABadJobFailsAlone) {
  const auto& [ranks, replicas] = GetParam();
  auto made = request({"a red circle", "", "a green triangle"});
  made.placement.replicas = replicas;
  made.jobs[1].error = "the line is empty";
  EXPECT_THAT(run(made, ranks), testing::Each(1));
  for (const auto& line : journal()) EXPECT_EQ(line["status"], line["index"] == 1 ? "failed" : "drawn");
}

INSTANTIATE_TEST_SUITE_P(Worlds, GenerateOnThreads,
                         testing::Values(std::tuple(1, std::vector<int>{}), std::tuple(2, std::vector<int>{}),
                                         std::tuple(3, std::vector<int>{}), std::tuple(4, std::vector<int>{1, 2}),
                                         std::tuple(5, std::vector<int>{2})));

class Generate : public GenerateOnThreads {};

TEST_F(Generate, WhatIsWrongWithTheRunIsExitCode2OnEveryRank) {
  EXPECT_THAT(run(request({}), 3), testing::Each(2)) << "nothing to draw";
  auto made = request({"a red circle"});
  made.placement.ranks_per_replica = 2;
  EXPECT_THAT(run(made, 4), testing::Each(2)) << "a world that does not fit";
  made.placement.ranks_per_replica.reset();
  made.output.folder = "/proc/flux";
  EXPECT_THAT(run(made, 3), testing::Each(2)) << "no folder";
}

TEST_F(Generate, AModelWithoutATensorIsExitCode2OnEveryRank) {
  fs::create_directory(folder / "model");
  fs::copy(source_folder() / "configs" / "demo", folder / "model", fs::copy_options::recursive);
  fs::copy(folder / "model" / "vae" / "diffusion_pytorch_model.safetensors",
           folder / "model" / "transformer" / "diffusion_pytorch_model.safetensors",
           fs::copy_options::overwrite_existing);
  auto made = request({"a red circle"});
  made.folder = ModelFolder(folder / "model");
  EXPECT_THAT(run(made, 3), testing::Each(2));
}

}  // namespace
}  // namespace flux
