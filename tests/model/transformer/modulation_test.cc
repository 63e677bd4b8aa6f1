#include "model/transformer/modulation.h"

#include <gtest/gtest.h>

#include "tests/model/checkpoint/recorder.h"
#include "tests/model/transformer/forward.h"
#include "tests/reference.h"

namespace flux {
namespace {

std::filesystem::path folder() { return reference("transformer") / "shape_1"; }

TEST(Modulation, AllStepsAtOnceEqualOneByOne) {
  const auto config = transformer_config(folder());
  const Modulation modulation(Weights(open_component(folder()), {}), config);
  const auto pooled = at::randn({config.pooled_projection_dim});
  const std::vector<float> timesteps = {1000.0F, 731.25F, 2.5F};
  const auto table = modulation(timesteps, 3.5, pooled);
  ASSERT_EQ(table.sizes(), (std::vector<int64_t>{3, ModulationLayout(config).size()}));
  for (int64_t step = 0; step < 3; ++step) {
    EXPECT_LE(relative_to_largest(modulation({timesteps[step]}, 3.5, pooled)[0], table[step]), 1e-6);
  }
}

TEST(Modulation, GuidanceCountsOnlyWhereTheModelHasIt) {
  for (const std::string shape : {"shape_0", "shape_1"}) {
    const auto config = transformer_config(reference("transformer") / shape);
    const Modulation modulation(Weights(open_component(reference("transformer") / shape), {}), config);
    const auto pooled = at::randn({config.pooled_projection_dim});
    const bool same = at::equal(modulation({500.0F}, 1.0, pooled), modulation({500.0F}, 3.5, pooled));
    EXPECT_EQ(same, !config.guidance_embeds);
  }
}

TEST(Modulation, ReadsNothingElse) {
  const auto recorder = std::make_shared<Recorder>(open_component(folder()));
  const Modulation modulation(Weights(recorder, {}), transformer_config(folder()));
  std::set<std::string> expected;
  for (const auto& name : recorder->names()) {
    if (name.find("time_text_embed.") == 0 || name.find("norm") != std::string::npos) expected.insert(name);
  }
  std::erase_if(expected, [](const std::string& name) { return name.find(".attn.norm_") != std::string::npos; });
  EXPECT_EQ(recorder->read_names(), expected);
}

}  // namespace
}  // namespace flux
