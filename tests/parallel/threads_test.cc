#include "tests/parallel/mailbox_suite.h"
#include "tests/parallel/settings.h"

namespace flux::collectives {

using testing::Combine;
using testing::Values;

INSTANTIATE_TEST_SUITE_P(Threads, Collectives, Combine(Values(1, 2, 3, 5), Values(on_cpu())));
INSTANTIATE_TEST_SUITE_P(GpuThreads, Collectives, Combine(Values(1, 2, 3, 5), Values(on_shared_cards())));
INSTANTIATE_TEST_SUITE_P(GpuNccl, Collectives, Combine(Values(1, 2, 4, 8), Values(over_nccl())));
INSTANTIATE_TEST_SUITE_P(Threads, Mailboxes, Values(1, 2, 3, 5));
INSTANTIATE_TEST_SUITE_P(Threads, Worlds, Values(1, 2, 3, 5));

}  // namespace flux::collectives
