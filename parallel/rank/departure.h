#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "parallel/rank/ending.h"

namespace flux {

/// "interrupted (SIGINT)", "told to end (SIGTERM)"; of SIGHUP, which stands for it, "the launcher died"
std::string told_to_end(int signal);

/// The owner of how this process ends: one object in main, from its first line to its last. A thread of its own takes
/// signals and looks at the clock, so it ends the process whatever the other threads do.
class Departure {
 public:
  /// Opens /dev/null for standard descriptors that are closed, ignores SIGPIPE, takes SIGTERM, SIGINT, SIGUSR1 and
  /// SIGCONT. From now on an exception that nobody catches, or an exit() that a library calls, in any thread, is one
  /// line that names rank and thread, and exit code 3.
  explicit Departure(Say say);
  ~Departure();
  Departure(const Departure&) = delete;
  Departure& operator=(const Departure&) = delete;

  /// The signal that ends the process, if one came, or 0. SIGHUP: a launcher started this process, and is gone.
  int signal() const { return signal_; }

  /// SIGUSR1 ends the process as SIGTERM does, until a program says that it drains: it then looks at told_to_drain(),
  /// finishes what it has begun and takes up nothing more.
  void drains() { drains_ = true; }
  bool told_to_drain() const { return told_to_drain_; }

  /// How long the program may take to answer a signal before it is ended for it. At first no time at all, as without
  /// this class: a program that looks at signal() asks for some.
  void answer_signals_within(std::chrono::milliseconds grace) { grace_ = grace; }

  /// This process was stopped (or starved) for over a second until just now: what it missed is not other ranks' fault,
  /// so it blames nobody for two seconds.
  bool was_stopped() const;

  /// Somebody stopped this process for over a second and woke it a moment ago (SIGCONT): an ending that it hears of
  /// then is one that others have told of already.
  bool was_woken() const { return Clock::now() < no_news_.load(); }

  /// Ends the process then, saying last.why, unless it has ended. The earliest deadline counts.
  void within(std::chrono::milliseconds grace, Ending last);

  /// Ends the process: what on_leaving() registered, standard output and the log, and no destructors.
  [[noreturn]] void now(int exit_code);

  /// Short and never blocking, and owns what it uses: what must not be left behind (a lock, a .part file).
  void on_leaving(std::function<void()> last_act);

  /// What now() does before the process ends, once: for who ends it in another way.
  void put_in_order() noexcept;

  /// The world that an uncaught exception ends; nothing: this process alone.
  void ends_with(std::function<void(const Ending&)> end_of_world);

  void say(const std::string& line) const noexcept;

  /// From any thread: what a rank is doing, in words ("drawing prompts.txt:3"); empty: nothing.
  void works_on(int rank, const std::string& what);

  /// "; it was drawing prompts.txt:3", for a line that names the rank; or empty.
  std::string work_of(int rank) const;

  /// What a library's exit() comes to.
  [[noreturn]] static void exited(int exit_code);

 private:
  using Clock = std::chrono::steady_clock;

  void watch();
  void notice_waking(int signal);
  void take(int signal);
  void look_for_the_launcher();
  void look_at_the_clock();
  [[noreturn]] void fail(const std::string& line) noexcept;
  static void terminate() noexcept;

  const Say say_;
  const int launcher_;  // its process; 0: none started this
  std::atomic<int> signal_ = 0;
  std::atomic<bool> drains_ = false, told_to_drain_ = false;
  std::atomic<std::chrono::milliseconds> grace_{std::chrono::milliseconds(0)};
  std::atomic<Clock::time_point> looked_{Clock::now()};     // the thread at the clock
  std::atomic<Clock::time_point> blameless_{Clock::now()};  // until then
  std::atomic<Clock::time_point> no_news_{Clock::now()};    // until then
  std::atomic<bool> leaving_ = false;
  std::atomic<bool> in_order_ = false;
  mutable std::mutex mutex_;
  Clock::time_point deadline_ = Clock::time_point::max();  // under the mutex
  Ending last_;                                            // under the mutex
  std::vector<std::function<void()>> last_acts_;           // under the mutex
  std::function<void(const Ending&)> end_of_world_;        // under the mutex
  std::map<int, std::string> work_;                        // by rank, under the mutex
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

}  // namespace flux
