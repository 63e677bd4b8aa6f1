#include "model/schedule.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>

#include "tests/reference.h"

namespace flux {
namespace {

SchedulerConfig read_config(const nlohmann::json& json) {
  return {.num_train_timesteps = json["num_train_timesteps"],
          .shift = json["shift"],
          .use_dynamic_shifting = json["use_dynamic_shifting"],
          .base_shift = json["base_shift"],
          .max_shift = json["max_shift"],
          .base_image_seq_len = json["base_image_seq_len"],
          .max_image_seq_len = json["max_image_seq_len"]};
}

TEST(Schedule, EqualToDiffusersBitForBit) {
  const auto cases = nlohmann::json::parse(std::ifstream(reference("schedule") / "cases.json"));
  ASSERT_GT(cases.size(), 100U);
  for (const auto& item : cases) {
    SCOPED_TRACE(item["config"].dump() + " given " + item["given"].dump() + " steps " + item["steps"].dump() +
                 " tokens " + item["image_tokens"].dump());
    const auto config = read_config(item["config"]);
    const auto given = item["given"].get<std::vector<double>>();
    const auto ours = given.empty() ? sigmas(config, item["steps"], item["image_tokens"])
                                    : time_shifted(config, given, item["image_tokens"]);
    EXPECT_EQ(ours, item["sigmas"].get<std::vector<float>>());
    EXPECT_EQ(timesteps(config, ours), item["timesteps"].get<std::vector<float>>());
  }
}

TEST(Schedule, NoStepsIsAnError) { EXPECT_ANY_THROW(sigmas({}, 0, 4096)); }

}  // namespace
}  // namespace flux
