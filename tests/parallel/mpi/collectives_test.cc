#include "tests/parallel/collectives_suite.h"
#include "tests/parallel/mailbox_suite.h"

namespace flux::collectives {

const Setting kMpi = {[](World& world) { return everybody(world); }, at::kCPU};
INSTANTIATE_TEST_SUITE_P(Mpi, Collectives, testing::Combine(testing::ValuesIn(rank_counts({})), testing::Values(kMpi)));
INSTANTIATE_TEST_SUITE_P(Mpi, Mailboxes, testing::ValuesIn(rank_counts({})));
INSTANTIATE_TEST_SUITE_P(Mpi, Worlds, testing::ValuesIn(rank_counts({})));

}  // namespace flux::collectives
