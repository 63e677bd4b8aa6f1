#include "tests/model/denoiser_suite.h"

namespace flux::denoising {

const Setting mpi{[](World& world) { return everybody(world); }, on_cpu};
INSTANTIATE_TEST_SUITE_P(Mpi, DenoiserRanks,
                         testing::Combine(testing::ValuesIn(rank_counts({})), testing::Values(mpi)));

}  // namespace flux::denoising
