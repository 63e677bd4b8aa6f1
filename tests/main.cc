#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>

#include "model/reproducible_arithmetic.h"

/// Computes as the program does. libtorch is not torn down, which takes as long as most suites.
int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  flux::demand_reproducible_arithmetic();
  const int code = RUN_ALL_TESTS();
  std::fflush(nullptr);
  _exit(code);
}
