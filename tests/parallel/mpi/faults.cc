#include "tests/parallel/mpi/faults.h"

#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <map>
#include <optional>
#include <thread>

#include "parallel/gate.h"
#include "parallel/rank/errors.h"
#include "parallel/rank/thread_name.h"
#include "tests/parallel/cards.h"
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

void is_invalid(World& world) {
  const auto group = everybody(world);
  if (world.rank() == kFaulty) world.end({2, "rank 1: no such model"});
  wait_for_others(world, *group);
}

/// Rank 0 comes late, while rank 1 waits for it and is stopped; rank 2 then waits for rank 1.
void stops_while_it_waits(World& world) {
  const auto group = everybody(world);
  std::jthread stopper;
  if (world.rank() == kFaulty)
    stopper = std::jthread([] {
      std::this_thread::sleep_for(200ms);
      std::raise(SIGSTOP);
    });
  if (world.rank() == 0) std::this_thread::sleep_for(1s);
  meet(*group);
  meet(*group);
}

/// Rank 2 waits for rank 0 before rank 0 begins to wait for rank 1.
void stops_in_a_broadcast(World& world) {
  const auto group = everybody(world);
  if (world.rank() == kFaulty) std::raise(SIGSTOP);
  const at::Tensor large = at::zeros({1 << 20});
  Pending first = group->broadcast(large, 0);
  if (world.rank() == 0) std::this_thread::sleep_for(700ms);
  first.wait();
  group->broadcast(large, 0).wait();
}

/// A process that lets this one go on some time after being told.
class Waker {
 public:
  explicit Waker(std::chrono::milliseconds after) {
    if (pipe(pipe_.data()) != 0) throw std::runtime_error("no pipe");
    const pid_t sleeper = getpid();
    if (fork() != 0) return;
    close(pipe_[1]);  // so that reading ends with the sleeper
    char told = 0;
    if (read(pipe_[0], &told, 1) != 1) std::_Exit(0);
    std::this_thread::sleep_for(after);
    kill(sleeper, SIGCONT);
    std::_Exit(0);
  }
  void stop_until_woken() {
    if (write(pipe_[1], "x", 1) == 1) std::raise(SIGSTOP);
  }

 private:
  std::array<int, 2> pipe_{};
};

/// Rank 1 goes on to send when rank 0 has given it up.
void stops_half_way(World& world, Waker& waker) {
  if (world.rank() == kFaulty) {
    world.mailbox().send(0, {"half", {at::zeros({400'000'000}, at::kByte)}});
    std::this_thread::sleep_for(50ms);
    waker.stop_until_woken();
  }
  world.mailbox().receive(60s);
}

void stops_in_a_header(World& world) {
  if (world.rank() == kFaulty) {
    world.mailbox().send(0, {std::string(400'000'000, 'x'), {}});
    std::this_thread::sleep_for(50ms);
    std::raise(SIGSTOP);
  }
  world.mailbox().receive(60s);
}

void throws_in_a_thread(World& world) {
  const auto group = everybody(world);
  std::jthread thread;
  if (world.rank() == kFaulty)
    thread = std::jthread([] {
      name_this_thread("painter");
      throw std::runtime_error("out of paint");
    });
  meet(*group);
  if (world.rank() == kFaulty) std::this_thread::sleep_for(60s);
  meet(*group);
}

/// A job that lasts, for those who disturb it; from the first meeting on its main threads bear a name. All stay within
/// a gather of each other: a rank that a busy machine holds up has nothing to catch up with.
void meets_for(std::chrono::milliseconds while_, World& world) {
  const auto group = everybody(world);
  meet(*group);
  name_this_thread("meeting");
  const auto end = Clock::now() + while_;
  for (bool on = true; on;) {
    const at::Tensor go_on = at::zeros({world.size()});
    if (world.rank() == 0) go_on[0] = Clock::now() < end ? 1 : 0;
    group->all_gather(go_on, std::vector<int64_t>(world.size(), 1)).wait();
    on = go_on[0].item<float>() > 0;
  }
}

/// NCCL is asked for ranks to join before anything of a card.
void joins_cards(World& world) { world.group(all_ranks(world), Transport::nccl, at::Device(at::kCUDA, 0)); }

void nothing(World&) {}

struct Fault {
  std::function<void(World&)> body;
  Deadlines deadlines;
  std::function<void()> before = [] {};  // the world
  std::function<void()> after = [] {};   // everybody has come to leave()
  std::function<void()> parted = [] {};  // of MPI nothing is left
};

std::function<void()> on_the_faulty(const std::function<void()>& act) {
  return [act] {
    if (launched_rank() == kFaulty) act();
  };
}

std::map<std::string, Fault> all_faults() {
  const auto sleep = on_the_faulty([] { std::this_thread::sleep_for(60s); });
  const auto raise = [](int signal) { return on_the_faulty([signal] { std::raise(signal); }); };
  return {
      {"never_comes", {never_comes, {.collective = 2s}}},
      {"stops", {stops, {.collective = 2s}}},
      {"stops_while_it_waits", {stops_while_it_waits, {.collective = 2s}}},
      {"stops_in_a_broadcast", {stops_in_a_broadcast, {.collective = 2s}}},
      {"stops_in_a_header", {stops_in_a_header, {.collective = 1s}}},
      {"fails", {fails, {}}},
      {"dies", {dies, {}}},
      {"rank_0_dies", {rank_0_dies, {}}},
      {"rank_0_stops", {rank_0_stops, {.collective = 2s}}},
      {"leaves_without_the_others", {leaves_without_the_others, {.collective = 2s}}},
      {"is_invalid", {is_invalid, {}}},
      {"throws_in_a_thread", {throws_in_a_thread, {}}},
      {"meets_for_a_while", {[](World& world) { meets_for(1500ms, world); }, {.collective = 2s, .startup = 5s}}},
      {"meets_for_longer", {[](World& world) { meets_for(5s, world); }, {.collective = 2s}}},
      {"meets_for_ever", {[](World& world) { meets_for(60s, world); }, {}}},
      {"joins_cards", {joins_cards, {}}},
      {"nothing", {nothing, {}}},
      {"is_awaited", {nothing, {}, sleep}},
      {"comes_late", {nothing, {}, on_the_faulty([] { std::this_thread::sleep_for(4s); })}},
      {"never_starts", {nothing, {.startup = 3s}, sleep}},
      {"stops_before_it_starts", {nothing, {.startup = 2s}, raise(SIGSTOP)}},
      {"dies_before_it_starts", {nothing, {}, on_the_faulty([] {
                                   std::this_thread::sleep_for(
                                       1s);  // while the others are being loaded nobody can name it
                                   std::raise(SIGKILL);
                                 })}},
      {"stops_after_the_end", {nothing, {.collective = 2s}, [] {}, raise(SIGSTOP)}},
      {"dies_after_the_end", {nothing, {}, [] {}, raise(SIGKILL)}},
      {"stops_once_parted", {nothing, {.collective = 2s}, [] {}, [] {}, raise(SIGSTOP)}},
  };
}

int outcome(const Fault& fault, Departure& departure) {
  std::unique_ptr<World> world;
  try {
    fault.before();
    world = mpi_world(fault.deadlines, departure);
    world_of_this_process() = world.get();
    fault.body(*world);
    world->leave();
    fault.after();
    return 0;
  } catch (const Invalid& error) {
    if (launched_rank() == 0) std::fprintf(stderr, "%s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    world->abort(error.what());
    return 3;
  }
}

}  // namespace

int run_fault(const std::string& name) {
  std::optional<Waker> waker;
  std::map<std::string, Fault> faults = all_faults();
  if (name == "stops_half_way") {
    waker.emplace(1300ms);
    faults[name] = {[&](World& world) { stops_half_way(world, *waker); }, {.collective = 1s}};
  }
  const Fault& fault = faults.at(name);
  Departure departure(to_stderr);
  const int code = outcome(fault, departure);
  fault.parted();
  departure.now(code);
}

}  // namespace flux
