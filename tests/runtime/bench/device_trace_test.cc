#include "runtime/bench/device_trace.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace flux {
namespace {

TEST(DeviceTrace, RecordsWhatACpuDoes) {
  DeviceTrace trace(at::kCPU);
  at::mm(at::randn({64, 64}), at::randn({64, 64}));
  const std::vector<TraceEvent> events = trace.stop();
  EXPECT_TRUE(std::ranges::any_of(events, [](const TraceEvent& event) { return event.name == "aten::mm"; }));
  for (const TraceEvent& event : events) EXPECT_GT(event.length, 0) << event.name;
}

/// A recorded step's copies may be in the lane of its kernels.
TEST(DeviceTrace, TellsHowMuchOfTheGathersNothingHides) {
  const Gathering found = gathering({{"product", 7, 0, 10},
                                     {"Memcpy DtoD", 7, 20, 5},
                                     {"Memcpy PtoP", 9, 5, 10},
                                     {"ncclDevKernel_AllGather", 9, 14, 4},
                                     {"attention", 7, 30, 10},
                                     {"Memcpy DtoH (Device -> Pinned)", 7, 38, 4},
                                     {"Memcpy HtoD (Pinned -> Device)", 9, 42, 1}});
  EXPECT_DOUBLE_EQ(found.total, 18);
  EXPECT_DOUBLE_EQ(found.exposed, 11);
}

TEST(DeviceTrace, IsWhatChromeReads) {
  const auto trace = nlohmann::json::parse(
      chrome_trace({{"rank 0", {{"product", 7, 1.5, 2}}}, {"rank 1", {{"Memcpy PtoP", 9, 2, 1}}}}));
  const auto& events = trace["traceEvents"];
  EXPECT_EQ(events.size(), 6);
  EXPECT_EQ(events[2],
            (nlohmann::json{{"ph", "X"}, {"name", "product"}, {"pid", 0}, {"tid", 7}, {"ts", 1.5}, {"dur", 2.0}}));
  EXPECT_EQ(events[3]["args"]["name"], "rank 1");
  EXPECT_EQ(events[5]["name"], "gather: Memcpy PtoP");
}

}  // namespace
}  // namespace flux
