#include "tests/parallel/mpi/faults.h"

#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <functional>
#include <map>
#include <thread>

#include "parallel/rank/errors.h"
#include "tests/parallel/ranks.h"

namespace flux {
namespace {

using namespace std::chrono_literals;

constexpr int kFaulty = 1;  // the rank at fault

void meet(Communicator& group) {
  const at::Tensor all = at::zeros({group.size(), 1000});
  group.all_gather(all, std::vector<int64_t>(group.size(), 1)).wait();
}

/// The others wait in a collective, rank 0 in its mailbox.
void wait_for_others(World& world, Communicator& group) {
  if (world.rank() == 0) world.mailbox().receive(60s);
  meet(group);
}

void never_comes(World& world) {
  const auto group = everybody(world);
  if (world.rank() == kFaulty) std::this_thread::sleep_for(60s);
  meet(*group);
}

void stops(World& world) {
  const auto group = everybody(world);
  if (world.rank() == kFaulty) std::raise(SIGSTOP);
  meet(*group);
}

void fails(World& world) {
  const auto group = everybody(world);
  if (world.rank() == kFaulty) throw std::runtime_error("out of paint");
  wait_for_others(world, *group);
}

void dies(World& world) {
  const auto group = everybody(world);
  if (world.rank() == kFaulty) std::raise(SIGKILL);
  wait_for_others(world, *group);
}

/// Everybody else notices at the same time.
void rank_0_stops(World& world) {
  const auto group = everybody(world);
  if (world.rank() == 0) std::raise(SIGSTOP);
  meet(*group);
}

void rank_0_dies(World& world) {
  const auto group = everybody(world);
  if (world.rank() == 0) std::raise(SIGKILL);
  meet(*group);
}

void leaves_without_the_others(World& world) {
  if (world.rank() != kFaulty) std::this_thread::sleep_for(60s);
}

/// Prints the share of a core that a rank takes which waits for messages, and one that waits in a collective.
void idles(World& world) {
  const auto group = everybody(world);
  const auto used = [] {
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + 1e-6 * (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  };
  meet(*group);
  const double before = used();
  if (world.rank() == kFaulty)
    world.mailbox().receive(4s);
  else
    meet(*group);
  const double share = (used() - before) / 4;
  if (world.rank() == kFaulty) meet(*group);
  std::printf("rank %d used %.4f of a core\n", world.rank(), share);
}

}  // namespace

int run_fault(const std::string& name) {
  const std::map<std::string, std::pair<std::function<void(World&)>, Deadlines>> faults = {
      {"never_comes", {never_comes, {.collective = 2s}}},
      {"stops", {stops, {.collective = 2s}}},
      {"fails", {fails, {}}},
      {"dies", {dies, {}}},
      {"rank_0_dies", {rank_0_dies, {}}},
      {"rank_0_stops", {rank_0_stops, {.collective = 2s}}},
      {"leaves_without_the_others", {leaves_without_the_others, {.collective = 2s}}},
      {"idles", {idles, {}}},
  };
  const auto& [fault, deadlines] = faults.at(name);
  Departure departure(to_stderr);
  std::unique_ptr<World> world;
  try {
    world = mpi_world(deadlines, departure);
    world_of_this_process() = world.get();
    fault(*world);
    world->leave();
    return 0;
  } catch (const Invalid& error) {
    if (launched_rank() == 0) std::fprintf(stderr, "%s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    world->abort(error.what());
    return 3;
  }
}

}  // namespace flux
