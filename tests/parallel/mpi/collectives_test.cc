#include "tests/parallel/mailbox_suite.h"
#include "tests/parallel/settings.h"

namespace flux::collectives {

using testing::Combine;
using testing::Values;
using testing::ValuesIn;

INSTANTIATE_TEST_SUITE_P(Mpi, Collectives, Combine(ValuesIn(rank_counts({})), Values(on_cpu())));
INSTANTIATE_TEST_SUITE_P(GpuMpi, Collectives, Combine(ValuesIn(rank_counts({})), Values(on_shared_cards())));
INSTANTIATE_TEST_SUITE_P(GpuNccl, Collectives, Combine(ValuesIn(rank_counts({})), Values(over_nccl())));
INSTANTIATE_TEST_SUITE_P(Mpi, Mailboxes, ValuesIn(rank_counts({})));
INSTANTIATE_TEST_SUITE_P(Mpi, Worlds, ValuesIn(rank_counts({})));

}  // namespace flux::collectives
