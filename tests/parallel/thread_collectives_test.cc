#include "tests/parallel/collectives_suite.h"

namespace flux::collectives {

const Setting kThreads = {[](World& world) { return everybody(world); }, at::kCPU};
INSTANTIATE_TEST_SUITE_P(Threads, Collectives,
                         testing::Combine(testing::Values(1, 2, 3, 5), testing::Values(kThreads)));

}  // namespace flux::collectives
