#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "built_with.h"
#include "parallel/rank/errors.h"
#include "tests/parallel/ranks.h"

// What blocked ranks get when another does not come, or somebody ends the job. (Processes: faults_test.py.)
namespace flux {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

/// What `call` throws, as text; fails the test when it throws nothing or another type.
template <class Error>
std::string thrown_by(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

/// Runs each body on its own rank's thread, as a program would: nothing synchronises them at the end.
void on_threads(const std::vector<std::unique_ptr<World>>& worlds, const std::function<void(World&)>& body) {
  std::vector<std::jthread> threads;
  for (const auto& world : worlds) threads.emplace_back([&] { body(*world); });
}

TEST(ThreadFaults, ARankThatNeverComesIsNamed) {
  const auto worlds = thread_worlds(3, {.collective = 200ms});
  on_threads(worlds, [&](World& world) {
    const auto group = everybody(world);
    if (world.rank() == 1) return;
    const at::Tensor all = at::zeros({3});
    const std::string why = thrown_by<Aborted>([&] { group->all_gather(all, {1, 1, 1}).wait(); });
    EXPECT_THAT(why, HasSubstr("all_gather: rank 1 did not come within 0.2 s"));
    // Nothing goes on afterwards, either.
    EXPECT_THAT(thrown_by<Aborted>([&] { group->broadcast(all, 0).wait(); }), HasSubstr("broadcast: rank 1 did not"));
  });
}

TEST(ThreadFaults, AnAbortWakesEverybodyWhereverTheyWait) {
  const auto worlds = thread_worlds(4, {});
  on_threads(worlds, [&](World& world) {
    const auto group = everybody(world);
    if (world.rank() == 0) {
      EXPECT_THAT(thrown_by<Aborted>([&] { world.mailbox().receive(60s); }),
                  HasSubstr("receive: rank 3: out of paint"));
    } else if (world.rank() == 1) {
      const at::Tensor value = at::zeros({3});
      EXPECT_THAT(thrown_by<Aborted>([&] { group->reduce(value).wait(); }), HasSubstr("reduce: rank 3: out"));
    } else if (world.rank() == 2) {
      EXPECT_THAT(thrown_by<Aborted>([&] { world.group({1, 2}, Transport::thread, at::kCPU); }),
                  HasSubstr("group: rank 3"));
    } else {
      std::this_thread::sleep_for(100ms);
      world.abort("out of paint");
      world.abort("a later reason");
    }
  });
}

TEST(ThreadFaults, TheFirstReasonIsSaidOnce) {
  std::vector<std::string> said;
  const auto worlds = thread_worlds(3, {}, [&](const std::string& line) { said.push_back(line); });
  worlds[1]->end({2, "no such model"});
  worlds[2]->abort("a later reason");
  EXPECT_THAT(said, testing::ElementsAre("no such model"));
  EXPECT_THAT(thrown_by<Aborted>([&] { worlds[0]->leave(); }), HasSubstr("no such model"));
}

TEST(ThreadFaults, AGroupThatIsNotFormedInTimeIsNamed) {
  const auto worlds = thread_worlds(2, {.startup = 100ms});
  EXPECT_THAT(thrown_by<TimedOut>([&] { worlds[0]->group({0, 1}, Transport::thread, at::kCPU); }),
              HasSubstr("group of ranks 0, 1: 1 of 2 came within 0.1 s"));
}

TEST(ThreadFaults, RanksThatCallDifferentThingsAreTold) {
  const auto worlds = thread_worlds(2, {.collective = 5s});
  std::atomic<int> told = 0;
  on_threads(worlds, [&](World& world) {
    const auto group = everybody(world);
    const at::Tensor value = at::zeros({4});
    try {
      if (world.rank() == 0)
        group->broadcast(value, 0).wait();
      else
        group->all_gather(value, {2, 2}).wait();
    } catch (const std::exception& error) {
      EXPECT_THAT(error.what(), testing::AllOf(HasSubstr("broadcast"), HasSubstr("all_gather")));
      ++told;
    }
  });
  EXPECT_EQ(told, 2);
}

TEST(ThreadFaults, ATransportThatIsNotThereIsRefused) {
  const auto worlds = thread_worlds(1, {});
  EXPECT_THAT(thrown_by<Invalid>([&] { worlds[0]->group({0}, Transport::mpi, at::kCPU); }),
              HasSubstr("--transport mpi: this program was not started by mpirun"));
  EXPECT_THAT(thrown_by<Invalid>([&] { worlds[0]->group({0}, Transport::nccl, at::kCPU); }),
              HasSubstr(FLUX_CUDA ? "--transport nccl: rank 0 has no card" : "build it with -DFLUX_CUDA=ON"));
}

}  // namespace
}  // namespace flux
