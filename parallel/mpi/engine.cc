#include "parallel/mpi/engine.h"

#include <fmt/format.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "parallel/rank/errors.h"
#include "parallel/rank/thread_name.h"
#include "parallel/world.h"

namespace flux {
namespace {

using namespace std::chrono_literals;

constexpr Clock::duration kBusy = 200us;      // after something moved: poll without sleeping
constexpr Clock::duration kLongestNap = 2ms;  // 500 polls a second cost about one per cent of a core

/// OpenMPI copies between processes of a host with process_vm_readv, and fails where a container forbids it.
void avoid_forbidden_calls() {
  char here = 1, there = 0;
  iovec to{&there, 1}, from{&here, 1};
  if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) != 1)
    setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 0);
}

}  // namespace

Engine::Engine(Departure& departure, std::function<void(const std::string&)> on_error)
    : departure_(departure), on_error_(std::move(on_error)) {
  std::promise<void> ready;
  std::future<void> started = ready.get_future();
  thread_ = std::thread([this, promise = std::move(ready)]() mutable { run(std::move(promise)); });
  try {
    started.get();
  } catch (...) {
    thread_.join();
    throw;
  }
}

Engine::~Engine() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void Engine::add(std::shared_ptr<Activity> activity) {
  const std::lock_guard lock(mutex_);
  added_.push_back(std::move(activity));
  awake_ = true;
  changed_.notify_all();
}

void Engine::wake() {
  const std::lock_guard lock(mutex_);
  awake_ = true;
  changed_.notify_all();
}

void Engine::initialise() {
  avoid_forbidden_calls();
  int provided = 0;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
  MPI_Comm_size(MPI_COMM_WORLD, &size_);
  if (size_ == 1 && launched_ranks() > 1) {
    char library[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length = 0;
    MPI_Get_library_version(library, &length);
    MPI_Finalize();
    const std::string name(library, length);
    throw Invalid(
        fmt::format("{} processes were started, but MPI tells each that it is alone: start them with `srun "
                    "--mpi=pmix` or with the mpirun of {}",
                    launched_ranks(), name.substr(0, name.find(','))));
  }
  MPI_Comm_dup(MPI_COMM_WORLD, &control_);
  MPI_Comm_dup(MPI_COMM_WORLD, &data_);
  MPI_Comm_set_errhandler(control_, MPI_ERRORS_RETURN);
  MPI_Comm_set_errhandler(data_, MPI_ERRORS_RETURN);
}

void Engine::run(std::promise<void> ready) {
  name_this_thread("mpi");
  try {
    initialise();
    ready.set_value();
  } catch (...) {
    ready.set_exception(std::current_exception());
    return;
  }
  Clock::time_point moved = Clock::now();
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) break;
    }
    const bool collected = collect();
    if (progress() || collected) moved = Clock::now();
    nap(Clock::now() - moved);
  }
  activities_.clear();
  MPI_Comm_free(&data_);
  MPI_Comm_free(&control_);
  MPI_Finalize();
}

bool Engine::collect() {
  const std::lock_guard lock(mutex_);
  std::move(added_.begin(), added_.end(), std::back_inserter(activities_));
  added_.clear();
  return std::exchange(awake_, false);
}

bool Engine::progress() {
  bool moved = false;
  for (std::shared_ptr<Activity>& activity : activities_) {
    try {
      moved |= activity->progress();
      if (activity->finished()) activity.reset();
    } catch (const std::exception& error) {
      activity.reset();
      on_error_(error.what());
    }
  }
  std::erase(activities_, nullptr);
  return moved;
}

void Engine::nap(Clock::duration idle) {
  if (idle < kBusy) {
    std::this_thread::yield();
    return;
  }
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::min(idle / 10, kLongestNap), [&] { return awake_ || stopping_; });
}

}  // namespace flux
