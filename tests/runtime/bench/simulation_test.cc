#include "runtime/bench/simulation.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <fstream>

#include "parallel/rank/errors.h"
#include "tests/runtime/options/scratch_folder.h"

namespace flux {
namespace {

using testing::HasSubstr;

MeasuredStages measured() {
  return {.encode = 0.02,
          .denoise = 1,
          .decode = 0.03,
          .write = 0.001,
          .transfer = 0.003,
          .coordinator = 0,
          .ranks = 3,
          .ranks_per_replica = 2,
          .encoders = 1,
          .pictures_per_replica = 10};
}

TEST(Simulation, OfFewRanksIsWhatTheirReplicasDraw) {
  const std::vector<SimulatedRun> runs = simulate(measured(), 9);
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].replicas, 4);
  EXPECT_EQ(runs[0].pictures, 40);
  EXPECT_EQ(runs[0].limit, "replicas");
  // Ten pictures one after the other, and of the first and the last what nothing hides.
  EXPECT_NEAR(runs[0].images_per_hour, 3600 * 40 / (10 * 1.001 + 4 * 0.021 + 0.032), 0.02 * 3600 * 4);
  EXPECT_LE(runs[0].images_per_hour, 3600 * 4);
}

TEST(Simulation, MoreEncodersRepairWhatOneCannot) {
  MeasuredStages slow = measured();
  slow.encode = 0.1;  // ten replicas' worth
  const std::vector<SimulatedRun> runs = simulate(slow, 65);
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs.front().limit, "encoders");
  EXPECT_NEAR(runs.front().images_per_hour, 36000, 0.05 * 36000) << "ten a second";
  EXPECT_EQ(runs.back().encoders, 4);
  EXPECT_GT(runs.back().images_per_hour, 2.5 * runs.front().images_per_hour);
}

TEST(Simulation, OneCoordinatorIsNotRepairedByEncoders) {
  MeasuredStages slow = measured();
  slow.encode = slow.decode = 0.001;
  slow.coordinator = 0.1;
  const std::vector<SimulatedRun> runs = simulate(slow, 129);
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].limit, "coordinator");
  EXPECT_NEAR(runs[0].images_per_hour, 36000, 0.05 * 36000);
  EXPECT_GT(runs[0].coordinator_busy, 0.97);
}

TEST(Simulation, ReadsWhatBenchThroughputWrote) {
  const ScratchFolder folder;
  const auto file = folder.path() / "result.jsonl";
  nlohmann::json result = {{"benchmark", "throughput"}, {"schema", 1}, {"completed_images", 12}, {"coordinator_ms", 2}};
  for (const char* stage : {"encode", "denoise", "decode", "write", "transfer"})
    result["stages"][stage] = {{"mean", 0.5}};
  result["ranks"] = std::vector<int>(5);
  result["replicas"] = {{{"ranks", {1, 2}}}, {{"ranks", {3, 4}}}};
  std::ofstream(file) << result << "\n\n";
  const MeasuredStages read = read_stages(file);
  EXPECT_EQ(std::tuple(read.ranks, read.ranks_per_replica, read.encoders, read.pictures_per_replica),
            std::tuple(5, 2, 1, 6.0));
  EXPECT_DOUBLE_EQ(read.coordinator, 0.002);
  EXPECT_DOUBLE_EQ(read.transfer, 0.5);
}

TEST(Simulation, WhatIsNoResultIsRefused) {
  const ScratchFolder folder;
  const auto file = folder.path() / "result.jsonl";
  const auto problem = [&](const std::string& text) {
    std::ofstream(file) << text;
    try {
      read_stages(file);
    } catch (const Invalid& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(problem(""), HasSubstr("holds no results"));
  EXPECT_THAT(problem("{}"), HasSubstr("result.jsonl:1: \"benchmark\" is missing"));
  EXPECT_THAT(problem(R"({"benchmark": "throughput", "schema": 1, "stages": {"encode": {"mean": null}}})"),
              HasSubstr("result.jsonl:1: "));
  nlohmann::json endless = {
      {"benchmark", "throughput"}, {"schema", 1}, {"ranks", {0}}, {"replicas", {{{"ranks", {0}}}}}};
  for (const char* stage : {"encode", "denoise", "decode", "write", "transfer"})
    endless["stages"][stage] = {{"mean", 1e9}};
  endless["coordinator_ms"] = 1;
  endless["stages"]["denoise"]["mean"] = 0;
  EXPECT_THAT(problem(endless.dump()), HasSubstr("\"denoise\" takes no time"));
  endless["stages"]["denoise"]["mean"] = 0.001;
  EXPECT_THAT(problem(endless.dump()), HasSubstr("\"encode\" takes over 1000 times as long as \"denoise\""));
  EXPECT_THROW(simulate(measured(), 2), Invalid) << "no rank is left";
}

}  // namespace
}  // namespace flux
