#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>

/// libtorch is not torn down, which takes as long as most suites.
int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const int code = RUN_ALL_TESTS();
  std::fflush(nullptr);
  _exit(code);
}
