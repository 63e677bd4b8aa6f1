#pragma once

// Runs the body of a test on several ranks: threads of this process in test_ROOM, processes in test_ROOM_mpi, which
// mpirun starts and where every rank runs every test. A suite that holds on both is written once in a header:
//
//   inline void check_sum(World& world) { auto group = everybody(world); ... EXPECT_EQ(...); }
//   class Sum : public testing::TestWithParam<int> {};
//   TEST_P(Sum, IsTheSame) { run_ranks(GetParam(), check_sum); }
//   INSTANTIATE_TEST_SUITE_P(Ranks, Sum, testing::ValuesIn(rank_counts({1, 2, 3, 5})));
//
// tests/ROOM/mpi/main.cc is `int main(int argc, char** argv) { return flux::run_all_tests_on_ranks(argc, argv); }`.

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "parallel/rank/departure.h"
#include "parallel/world.h"

namespace flux {

/// The world of this process under mpirun; none where ranks are threads.
inline World*& world_of_this_process() {
  static World* world = nullptr;
  return world;
}

/// The numbers of ranks to run a suite with: those asked for, or the one number that mpirun started.
inline std::vector<int> rank_counts(std::vector<int> as_threads) {
  if (std::getenv("OMPI_COMM_WORLD_SIZE") == nullptr) return as_threads;
  return {launched_ranks()};
}

/// Runs `body` on one rank; what it throws fails the test and wakes the other ranks.
inline void run_rank(World& world, const std::function<void(World&)>& body) {
  try {
    body(world);
    if (testing::Test::HasFatalFailure()) world.abort("a fatal failure");
    world.exchange("done");  // no rank begins the next test while another is in this one
  } catch (const std::exception& error) {
    ADD_FAILURE() << "rank " << world.rank() << ": " << error.what();
    world.abort(error.what());
  }
}

/// Runs `body` on `ranks` ranks and returns when all are done.
inline void run_ranks(int ranks, const std::function<void(World&)>& body, Deadlines deadlines = {}) {
  if (World* world = world_of_this_process()) {
    ASSERT_EQ(ranks, world->size()) << "mpirun started another number of ranks";
    run_rank(*world, body);
    return;
  }
  std::vector<std::unique_ptr<World>> worlds = thread_worlds(ranks, deadlines);
  std::vector<std::jthread> threads;
  for (const auto& world : worlds) threads.emplace_back([&] { run_rank(*world, body); });
}

/// A group of all ranks on the CPU, over threads or MPI, whichever this program runs on.
inline std::unique_ptr<Communicator> everybody(World& world, at::Device device = at::kCPU) {
  std::vector<int> ranks;
  for (int rank = 0; rank < world.size(); ++rank) ranks.push_back(rank);
  return world.group(ranks, world_of_this_process() ? Transport::mpi : Transport::thread, device);
}

/// Prints only what fails, with its rank: for the ranks that do not print the tests' progress.
class FailuresOfRank : public testing::EmptyTestEventListener {
 public:
  explicit FailuresOfRank(int rank) : rank_(rank) {}
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (result.failed())
      std::fprintf(stderr, "rank %d: %s:%d: %s\n", rank_, result.file_name() ? result.file_name() : "",
                   result.line_number(), result.message());
  }

 private:
  int rank_;
};

/// main() of a program that mpirun starts: every rank runs all tests, a failure on any rank fails every rank.
inline int run_all_tests_on_ranks(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  Departure departure(to_stderr);
  const std::unique_ptr<World> world = mpi_world({}, departure);
  world_of_this_process() = world.get();
  if (world->rank() != 0) {
    testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new FailuresOfRank(world->rank()));
  }
  int result = RUN_ALL_TESTS();
  try {
    for (const std::string& other : world->exchange(std::to_string(result)))
      result = std::max(result, std::stoi(other));
    world->leave();
  } catch (const std::exception&) {
    result = 3;  // a test aborted the world, which ends with it
  }
  return result;
}

}  // namespace flux
