#include "parallel/rank/departure.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <utility>

#include "parallel/rank/thread_name.h"
#include "parallel/world.h"

namespace flux {
namespace {

using namespace std::chrono_literals;

constexpr auto kWatchPause = 50ms;
constexpr auto kStopped = 1s;  // without a look at the clock: the process did not run
constexpr auto kBlameless = 2s;
constexpr auto kFlushTime = 300;  // milliseconds
constexpr auto kWorldsTime = 1800ms;
constexpr std::chrono::milliseconds kOrphansTime = 700ms;  // its libraries end a rank a second after its launcher died

std::atomic<Departure*> owner = nullptr;  // for the handlers of the C++ runtime, which take no argument

/// Files opened later must not become standard output.
void open_standard_descriptors() {
  for (int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(descriptor, F_GETFD) == -1 && errno == EBADF && open("/dev/null", O_RDWR) != descriptor) std::_Exit(3);
}

sigset_t signals_taken() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGCONT);
  return set;
}

volatile std::sig_atomic_t last_exit_code = kFailed;

/// Flushing waits for whoever reads; the process does not wait for that for long.
void leave_in_a_moment(int exit_code) {
  last_exit_code = exit_code;
  struct sigaction action{};
  action.sa_handler = [](int) { _exit(last_exit_code); };
  sigaction(SIGALRM, &action, nullptr);
  sigset_t alarm;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  pthread_sigmask(SIG_UNBLOCK, &alarm, nullptr);
  const itimerval moment{{0, 0}, {0, kFlushTime * 1000L}};
  setitimer(ITIMER_REAL, &moment, nullptr);
}

std::string what_is_thrown() {
  const std::exception_ptr thrown = std::current_exception();
  if (!thrown) return "std::terminate() without an exception";
  try {
    std::rethrow_exception(thrown);
  } catch (const std::bad_alloc&) {
    return "out of memory";
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an exception of an unknown type";
  }
}

}  // namespace

std::string told_to_end(int signal) {
  if (signal == SIGINT) return "interrupted (SIGINT)";
  if (signal == SIGHUP) return "the launcher died";
  return signal == SIGUSR1 ? "told to end (SIGUSR1)" : "told to end (SIGTERM)";
}

void to_stderr(const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); }

Departure::Departure(Say say) : say_(std::move(say)), launcher_(launched_ranks() > 1 ? getppid() : 0) {
  open_standard_descriptors();
  std::signal(SIGPIPE, SIG_IGN);
  const sigset_t taken = signals_taken();
  pthread_sigmask(SIG_BLOCK, &taken, nullptr);  // by every thread that starts from here on
  thread_ = start_thread("departure", [this] { watch(); });
  owner = this;
  std::set_terminate(terminate);
}

Departure::~Departure() {
  over_ = true;
  thread_.join();
  owner = nullptr;
  const sigset_t taken = signals_taken();
  pthread_sigmask(SIG_UNBLOCK, &taken, nullptr);
}

void Departure::watch() {
  const sigset_t taken = signals_taken();
  const timespec patience{0, std::chrono::nanoseconds(kWatchPause).count()};
  while (!over_) {
    const int signal = sigtimedwait(&taken, nullptr, &patience);
    notice_waking(signal);
    if (signal > 0 && signal != SIGCONT) take(signal);
    look_for_the_launcher();
    look_at_the_clock();
  }
}

/// Before anything else is taken: of signals that came together SIGCONT is the last. A launcher sends one also to
/// processes that nobody stopped.
void Departure::notice_waking(int signal) {
  const Clock::time_point now_is = Clock::now();
  if (now_is - looked_.load() <= kStopped) return;
  sigset_t pending;
  sigpending(&pending);
  if (signal == SIGCONT || sigismember(&pending, SIGCONT) == 1) no_news_ = now_is + kBlameless;
}

void Departure::take(int signal) {
  if (signal == SIGUSR1 && drains_) {
    told_to_drain_ = true;
    return;
  }
  signal_ = signal;
  const std::chrono::milliseconds grace = signal == SIGHUP ? std::min(grace_.load(), kOrphansTime) : grace_.load();
  const bool speaks = launched_rank() == 0 && grace.count() > 0 && !was_woken();
  within(grace, {128 + signal, speaks ? told_to_end(signal) : ""});
}

void Departure::look_for_the_launcher() {
  if (launcher_ != 0 && signal_ == 0 && getppid() != launcher_) take(SIGHUP);
}

void Departure::look_at_the_clock() {
  const Clock::time_point now_is = Clock::now();
  if (now_is - looked_.load() > kStopped) blameless_ = now_is + kBlameless;
  looked_ = now_is;
  Ending last;
  {
    const std::lock_guard lock(mutex_);
    if (now_is < deadline_) return;
    last = last_;
  }
  if (!last.why.empty()) say(last.why);
  now(last.exit_code);
}

bool Departure::was_stopped() const {
  const Clock::time_point now_is = Clock::now();
  return now_is < blameless_.load() || now_is - looked_.load() > kStopped;
}

void Departure::within(std::chrono::milliseconds grace, Ending last) {
  const std::lock_guard lock(mutex_);
  const Clock::time_point end = Clock::now() + grace;
  if (end >= deadline_) return;
  deadline_ = end;
  last_ = std::move(last);
}

void Departure::on_leaving(std::function<void()> last_act) {
  const std::lock_guard lock(mutex_);
  last_acts_.push_back(std::move(last_act));
}

void Departure::ends_with(std::function<void(const Ending&)> end_of_world) {
  const std::lock_guard lock(mutex_);
  end_of_world_ = std::move(end_of_world);
}

void Departure::put_in_order() noexcept {
  if (in_order_.exchange(true)) return;
  std::vector<std::function<void()>> acts;
  {
    const std::lock_guard lock(mutex_);
    acts.swap(last_acts_);
  }
  for (const auto& act : acts) {
    try {
      act();
    } catch (const std::exception& error) {
      say(error.what());
    }
  }
  try {
    spdlog::default_logger()->flush();
    std::cout.flush();
  } catch (const std::exception&) {  // nobody reads it any more
    return;
  }
}

void Departure::now(int exit_code) {
  while (leaving_.exchange(true)) std::this_thread::sleep_for(1s);  // another thread is about to end the process
  leave_in_a_moment(exit_code);
  put_in_order();
  std::_Exit(exit_code);
}

void Departure::say(const std::string& line) const noexcept {
  try {
    say_(line);
  } catch (const std::exception&) {
    to_stderr(line);
  }
}

void Departure::works_on(int rank, const std::string& what) {
  const std::lock_guard lock(mutex_);
  work_[rank] = what;
}

std::string Departure::work_of(int rank) const {
  const std::lock_guard lock(mutex_);
  const auto work = work_.find(rank);
  return work == work_.end() || work->second.empty() ? "" : "; it was " + work->second;
}

/// The last words of a thread that cannot go on: the world says them, or this process itself.
void Departure::fail(const std::string& line) noexcept {
  std::function<void(const Ending&)> end_of_world;
  {
    const std::lock_guard lock(mutex_);
    end_of_world = end_of_world_;
  }
  if (!end_of_world || std::this_thread::get_id() == thread_.get_id()) {
    say(line);
    now(kFailed);
  }
  within(kWorldsTime, {kFailed, ""});
  end_of_world({kFailed, line});
  while (true) std::this_thread::sleep_for(1s);
}

void Departure::terminate() noexcept {
  static thread_local bool again = false;
  Departure* departure = owner;
  if (departure == nullptr) std::abort();
  if (std::exchange(again, true)) {  // no memory even for last words
    std::array<char, 64> line{};
    const int size = std::snprintf(line.data(), line.size(), "rank %d: out of memory\n", launched_rank());
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), static_cast<size_t>(size));
    _exit(kFailed);
  }
  departure->fail(fmt::format("rank {}: {}: {}", launched_rank(), this_thread(), what_is_thrown()));
}

void Departure::exited(int exit_code) {
  if (Departure* departure = owner)
    departure->fail(fmt::format("rank {}: {}: a library ended the process", launched_rank(), this_thread()));
  std::fflush(nullptr);
  std::_Exit(exit_code);
}

}  // namespace flux

/// In the place of the C library's, for all libraries of this process: some end it where they cannot have a thread or
/// memory (libgomp, OpenMPI), from a thread in the middle of the program. What the C library would destroy then is what
/// other threads still run on. Returning from main does not come here.
extern "C" void exit(int exit_code) noexcept { flux::Departure::exited(exit_code); }
