#include "parallel/rank/watchdog.h"

#include <gtest/gtest.h>

#include <future>

namespace flux {
namespace {

using namespace std::chrono_literals;

TEST(Watchdog, SaysWhatHangs) {
  std::promise<std::string> said;
  Watchdog watchdog(100ms, [&](const std::string& why) { said.set_value(why); });
  watchdog.begin("step 1 of 4", at::kCPU);
  watchdog.begin("step 2 of 4", at::kCPU);
  std::future<std::string> why = said.get_future();
  ASSERT_EQ(why.wait_for(10s), std::future_status::ready);
  EXPECT_EQ(why.get(), "step 2 of 4 has not ended within 0.1 s");
}

TEST(Watchdog, IsQuietWhileWorkGoesOnAndAtRest) {
  std::atomic<int> calls = 0;
  Watchdog watchdog(1000ms, [&](const std::string&) { ++calls; });
  for (int step = 0; step < 4; ++step) {
    watchdog.begin("a step", at::kCPU);
    std::this_thread::sleep_for(300ms);
  }
  watchdog.rest(at::kCPU);
  std::this_thread::sleep_for(1200ms);
  EXPECT_EQ(calls, 0);
}

}  // namespace
}  // namespace flux
