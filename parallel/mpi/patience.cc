#include "parallel/mpi/patience.h"

#include <fmt/format.h>

#include <csignal>
#include <thread>

#include "parallel/gate.h"
#include "parallel/group.h"
#include "parallel/mpi/siblings.h"
#include "parallel/rank/device.h"
#include "parallel/world.h"

namespace flux {
namespace {

using namespace std::chrono_literals;

constexpr auto kBetweenChecks = 2ms;  // mpirun kills some 10 ms after its signal, if that ended a rank at once
constexpr Clock::duration kBetweenLooks = 400ms;  // twice before a launcher tells of a death
constexpr Clock::duration kOftenWhenLate = 100ms;
constexpr auto kTold = 100ms;  // in which the signal ends those that are still being loaded
constexpr auto kSeen = 400ms;  // in which every rank looks for one that speaks
constexpr auto kHeard = 3s;    // in which every rank sees that another has spoken
constexpr auto kHeardInHaste = 1300ms;
constexpr auto kOtherHosts = 2s;       // in which a host that sees who is missing says so first
constexpr auto kSignalsTime = 1800ms;  // launchers kill after two seconds

[[noreturn]] void leave(Departure& departure, std::chrono::milliseconds after, int exit_code) {
  std::this_thread::sleep_for(after);
  departure.now(exit_code);
}

[[noreturn]] void speak(Departure& departure, const std::string& line) {
  Siblings::show_that_this_rank_spoke();
  departure.say(line);
  leave(departure, departure.signal() == 0 ? kHeard : kHeardInHaste, kFailed);
}

/// A launcher tells the others to end a second after a rank has died: who was gone by then had died before.
[[noreturn]] void answer_signal(Departure& departure, Siblings& siblings) {
  if (siblings.another_spoke()) leave(departure, kTold, kFailed);
  const std::vector<int> gone = siblings.gone();
  if (gone.empty()) {
    const int signal = departure.signal();
    if (launched_rank() == 0 && !departure.was_woken()) departure.say(told_to_end(signal));
    leave(departure, kTold, 128 + signal);
  }
  std::this_thread::sleep_for(kTold);
  siblings.look();
  if (siblings.this_rank_speaks()) speak(departure, fmt::format("{} died (on {})", rank_names(gone), host_name()));
  leave(departure, kSeen, kFailed);
}

/// What is wrong with the ranks of this host; empty when nothing is.
std::string fault_of(const Siblings& siblings) {
  const auto named = [](const std::vector<int>& ranks, const char* what) {
    return ranks.empty() ? "" : fmt::format("{} {} (on {})", rank_names(ranks), what, host_name());
  };
  if (const auto text = named(siblings.stopped(), "stopped"); !text.empty()) return text;
  if (const auto text = named(siblings.gone(), "died"); !text.empty()) return text;
  return named(siblings.outside_mpi(), "did not come to MPI_Init");
}

}  // namespace

void Patience::wait_for(const std::future<void>& done) {
  departure_.answer_signals_within(kSignalsTime);
  Siblings siblings;
  const Clock::time_point deadline = Clock::now() + limits_.deadline;
  Clock::time_point end = deadline;
  Clock::time_point looked{};
  Clock::time_point all_there = Clock::now();
  while (done.wait_for(kBetweenChecks) != std::future_status::ready) {
    const Clock::time_point now = Clock::now();
    if (departure_.was_stopped()) looked = now;  // who ended meanwhile may have been told to
    bool late = now > end && !departure_.was_stopped();
    if (departure_.signal() != 0) {
      if (now > end) leave(departure_, kTold, kFailed);
      answer_signal(departure_, siblings);
    }
    if (now - looked < (late ? kOftenWhenLate : kBetweenLooks)) continue;
    looked = now;
    siblings.look();
    if (siblings.gone().empty()) all_there = now;  // one not seen for a moment was only being started
    end = std::min(deadline, all_there + limits_.after_a_death);
    late &= now > end;
    if (siblings.another_spoke()) leave(departure_, kTold, kFailed);  // not every launcher ends the others
    if (!late || !siblings.this_rank_speaks()) continue;
    const std::string fault = fault_of(siblings);
    if (fault.empty() && now < deadline + kOtherHosts + launched_rank() * 100ms) continue;
    if (now < deadline) speak(departure_, fault);
    speak(departure_, fmt::format("{}{} within {} ({})", fault.empty() ? "" : fault + ": ", limits_.what,
                                  seconds(limits_.deadline), limits_.flag));
  }
}

void Patience::see_the_others_off() {
  Siblings siblings;
  const Clock::time_point end = Clock::now() + limits_.deadline;
  while (departure_.signal() == 0) {
    siblings.look();
    const std::vector<int> others = siblings.others();
    if (others.empty() || !siblings.this_rank_speaks()) return;
    if (Clock::now() > end && !departure_.was_stopped()) {
      const std::vector<int> stopped = siblings.stopped();
      speak(departure_, fmt::format("{} {} (on {}): {} within {} ({})", rank_names(stopped.empty() ? others : stopped),
                                    stopped.empty() ? "did not end" : "stopped", host_name(), limits_.what,
                                    seconds(limits_.deadline), limits_.flag));
    }
    std::this_thread::sleep_for(kBetweenChecks);
  }
}

}  // namespace flux
