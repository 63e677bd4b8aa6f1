#include "runtime/bench/throughput_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "runtime/bench/report.h"
#include "tests/runtime/run_folder.h"

namespace flux {
namespace {

using testing::HasSubstr;
using testing::Not;

/// Three pictures in two seconds on two ranks that share a card.
class EnergyInResults : public testing::Test {
 protected:
  EnergyInResults() {
    facts.placement.ranks.push_back(facts.placement.ranks.front());
    facts.placement.ranks.back().rank = 1;
    for (RankPlace& place : facts.placement.ranks) place.card = "GPU-1";
    wave.duration = 2;
    wave.requests.resize(3);
    wave.requests[0].pictures = 2;
    wave.requests[2].error = "failed";
    wave.replicas.resize(facts.placement.replicas.size());
    wave.ranks.resize(2);
  }

  nlohmann::ordered_json result() const {
    return throughput_json(wave, std::nullopt, {options, facts, false, 0, memory, 0});
  }

  ThroughputOptions options;
  RunFacts facts = one_rank();
  WaveResult wave;
  const std::vector<int64_t> memory = {1, 1};
};

TEST_F(EnergyInResults, IsByPictureAndBySecond) {
  wave.energy = {900, 900};
  const auto json = result();
  EXPECT_EQ(json["cards"], 1);
  EXPECT_EQ(json["energy_joules"], 900);
  EXPECT_EQ(json["energy_per_image_joules"], 300);
  EXPECT_EQ(json["mean_power_watts"], 450);
  EXPECT_EQ(json["ranks"][1]["card_energy_joules"], 900);
  const std::string line = "  energy    300.0 J a picture: 900 J of one card, 450 W on average\n";
  EXPECT_THAT(throughput_text(json), HasSubstr(line));
  const std::string page = throughput_report({wave}, {json});
  EXPECT_THAT(page, HasSubstr(line));
  EXPECT_THAT(page, HasSubstr("<th>energy a picture, J</th><th>mean power, W</th>"));
  EXPECT_THAT(page, HasSubstr("<td>300.0</td><td>450</td></tr>"));
}

TEST_F(EnergyInResults, OfNoPictureIsNotByPicture) {
  wave.energy = {900, 900};
  for (RequestResult& request : wave.requests) request.error = "failed";
  EXPECT_EQ(result()["energy_joules"], 900);
  EXPECT_TRUE(result()["energy_per_image_joules"].is_null());
}

TEST_F(EnergyInResults, IsNullAndNotSaidWhereNoDriverTells) {
  wave.energy = {std::nullopt, std::nullopt};
  const auto json = result();
  EXPECT_EQ(json["cards"], 1);
  for (const char* key : {"energy_joules", "energy_per_image_joules", "mean_power_watts"})
    EXPECT_TRUE(json[key].is_null()) << key;
  EXPECT_TRUE(json["ranks"][0]["card_energy_joules"].is_null());
  EXPECT_THAT(throughput_text(json), Not(HasSubstr("energy")));
  EXPECT_THAT(throughput_report({wave}, {json}), Not(HasSubstr("energy")));
}

}  // namespace
}  // namespace flux
