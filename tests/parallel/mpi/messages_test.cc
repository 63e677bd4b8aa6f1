#include <gtest/gtest.h>
#include <mpi.h>

#include <atomic>
#include <bit>
#include <numeric>

#include "parallel/rank/errors.h"
#include "tests/parallel/ranks.h"

// What ranks that begin or end together cost. MPI lets a program stand between itself and a call.
namespace {
std::atomic<int> sent = 0;  // messages of this rank
}

extern "C" int MPI_Isend(const void* data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm,
                         MPI_Request* request) {
  ++sent;
  return PMPI_Isend(data, count, type, to, tag, comm, request);
}

namespace flux {
namespace {

/// Of all ranks, since each last set its count to 0.
int sent_by_all(World& world) {
  int all = 0;
  for (const std::string& one : world.exchange(std::to_string(sent.load()))) all += std::stoi(one);
  return all;
}

TEST(Messages, AnExchangeCostsAFewForEachRank) {
  run_ranks(world_of_this_process()->size(), [](World& world) {
    world.exchange("everybody is here");
    sent = 0;
    for (int turn = 0; turn < 10; ++turn) world.exchange(std::string(static_cast<size_t>(100 * turn), 'x'));
    EXPECT_LE(sent_by_all(world), 10 * 5 * (world.size() - 1));
  });
}

TEST(Messages, AnEndThatAllNoticeTogetherIsPassedOnOnceByEach) {
  run_ranks(world_of_this_process()->size(), [](World& world) {
    const auto group = everybody(world);
    const auto size = static_cast<unsigned>(world.size());
    world.exchange("everybody is here");
    sent = 0;
    group->abort("enough");
    const at::Tensor value = at::zeros({3});
    if (size > 1) {
      EXPECT_THROW(group->broadcast(value, 0).wait(), Aborted);
    }
    EXPECT_LE(sent_by_all(world), world.size() * std::bit_width(size - 1));
  });
}

}  // namespace
}  // namespace flux
