#include "tests/parallel/collectives_suite.h"
#include "tests/parallel/mailbox_suite.h"

namespace flux::collectives {

const Setting kThreads = {[](World& world) { return everybody(world); }, at::kCPU};
INSTANTIATE_TEST_SUITE_P(Threads, Collectives,
                         testing::Combine(testing::Values(1, 2, 3, 5), testing::Values(kThreads)));
INSTANTIATE_TEST_SUITE_P(Threads, Mailboxes, testing::Values(1, 2, 3, 5));
INSTANTIATE_TEST_SUITE_P(Threads, Worlds, testing::Values(1, 2, 3, 5));

}  // namespace flux::collectives
