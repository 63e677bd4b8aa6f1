#include "parallel/mpi/launcher.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>

#include "parallel/world.h"

namespace flux {
namespace {

TEST(Launcher, SaysWhatTheProcessWasStartedWith) {
  const char* path = std::getenv("PATH");
  ASSERT_NE(path, nullptr);
  EXPECT_EQ(own_environment()("PATH"), path);
  EXPECT_EQ(ProcessEnvironment(std::to_string(getpid()))("PATH"), path);
  EXPECT_EQ(own_environment()("ATH"), std::nullopt);
  EXPECT_TRUE(ProcessEnvironment("0").empty());
}

// As MPI_Init does on its thread, while the main thread asks which rank it is: getenv read memory that was gone.
TEST(Launcher, IsHeardWhileAnotherThreadChangesTheEnvironment) {
  const auto name = [](int number) { return "FLUX_TEST_" + std::to_string(number); };
  constexpr int variables = 4000;
  std::atomic<bool> enough = false;
  std::thread changing([&] {
    for (int number = 0; number < variables; ++number) setenv(name(number).c_str(), "1", 1);
    enough = true;
  });
  while (!enough) EXPECT_EQ(launched_rank(), 0);
  changing.join();
  for (int number = 0; number < variables; ++number) unsetenv(name(number).c_str());
}

}  // namespace
}  // namespace flux
