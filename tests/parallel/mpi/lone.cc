#include "tests/parallel/mpi/lone.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <system_error>
#include <thread>
#include <vector>

#include "parallel/rank/departure.h"
#include "parallel/rank/thread_name.h"
#include "parallel/world.h"

namespace flux {
namespace {

using namespace std::chrono_literals;

/// A thread that does not come back from a library.
class Hanging {
 public:
  ~Hanging() { thread_.join(); }

 private:
  std::thread thread_{[] { std::this_thread::sleep_for(60s); }};
};

std::thread painter(const std::function<void()>& body) {
  return std::thread([body] {
    name_this_thread("painter");
    body();
  });
}

void end(Departure& departure, const Ending& ending) {
  const std::unique_ptr<World> world = lone_world({}, departure);
  const Hanging hanging;
  world->end(ending);
}

/// A GiB more of addresses than the process has.
void limit_addresses() {
  int64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const rlim_t most = static_cast<rlim_t>(pages * sysconf(_SC_PAGESIZE)) + (1 << 30);
  const rlimit little{most, most};
  setrlimit(RLIMIT_AS, &little);
}

void runs_out_of_memory(Departure&) {
  painter([] {
    std::vector<std::unique_ptr<std::string>> all;
    limit_addresses();
    while (true) all.push_back(std::make_unique<std::string>(1 << 20, 'x'));
  }).join();
}

void runs_out_of_threads(Departure&) {
  painter([] {
    limit_addresses();
    std::vector<std::thread> all;
    while (true) all.push_back(start_thread("sleeper", [] { std::this_thread::sleep_for(60s); }));
  }).join();
}

/// As OpenMP does where it gets no thread.
void is_ended_by_a_library(Departure&) {
  painter([] { std::exit(1); }).join();
}

/// What goes to standard output must not land in a file of the program.
void writes(Departure&) {
  std::ofstream("journal") << "mine\n" << std::flush;
  std::ofstream journal("journal", std::ios::app);
  std::printf("a result\n");
  std::fprintf(stderr, "a log line\n");
  std::fflush(nullptr);
}

void sleeps(Departure&) {
  std::printf("ready\n");
  std::fflush(stdout);
  std::this_thread::sleep_for(60s);
}

void sleeps_and_asked_for_time(Departure& departure) {
  departure.answer_signals_within(500ms);
  departure.on_leaving([] { std::fprintf(stderr, "put away\n"); });
  sleeps(departure);
}

/// Says so each time it was stopped, and ends when it has been for a while.
void is_stopped(Departure& departure) {
  std::printf("ready\n");
  std::fflush(stdout);
  while (!departure.was_stopped()) std::this_thread::sleep_for(1ms);
  while (departure.was_stopped()) std::this_thread::sleep_for(1ms);
  std::fprintf(stderr, "was stopped\n");
}

void is_late(Departure& departure) {
  departure.within(60s, {4, "later"});
  departure.within(100ms, {3, "too late"});
  departure.within(50s, {5, "later"});
  const Hanging hanging;
}

/// Nobody reads standard output, and what it holds does not fit: flushing it would wait for ever.
void cannot_flush(Departure& departure) {
  departure.within(100ms, {3, "too late"});
  const std::string much(1 << 20, 'x');
  std::fputs(much.c_str(), stdout);
}

}  // namespace

int run_lone(const std::string& name) {
  const std::map<std::string, std::function<void(Departure&)>> all = {
      {"hangs", [](Departure& departure) { end(departure, {3, "rank 0: the card hangs"}); }},
      {"is_invalid", [](Departure& departure) { end(departure, {2, "no such model"}); }},
      {"runs_out_of_memory", runs_out_of_memory},
      {"runs_out_of_threads", runs_out_of_threads},
      {"is_ended_by_a_library", is_ended_by_a_library},
      {"writes", writes},
      {"sleeps", sleeps},
      {"sleeps_and_asked_for_time", sleeps_and_asked_for_time},
      {"is_stopped", is_stopped},
      {"is_late", is_late},
      {"cannot_flush", cannot_flush},
  };
  Departure departure(to_stderr);
  all.at(name)(departure);
  return 0;
}

}  // namespace flux
