#include "parallel/mpi/engine.h"

#include <fmt/format.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "parallel/mpi/patience.h"
#include "parallel/mpi/shared_memory.h"
#include "parallel/mpi/siblings.h"
#include "parallel/mpi/transfer.h"
#include "parallel/rank/device.h"
#include "parallel/rank/errors.h"
#include "parallel/rank/libraries.h"
#include "parallel/rank/thread_name.h"

namespace flux {
namespace {

using namespace std::chrono_literals;

constexpr Clock::duration kBusy = 200us;      // after something moved: poll without sleeping
constexpr auto kNobodyEndsIt = 3s;            // after a rank's death: a launcher that would does within two
constexpr Clock::duration kLongestNap = 2ms;  // 500 polls a second cost about one per cent of a core

/// OpenMPI copies between processes of a host with process_vm_readv, and fails where a container forbids it.
void avoid_forbidden_calls() {
  char here = 1, there = 0;
  iovec to{&there, 1}, from{&here, 1};
  if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) != 1)
    setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 0);
}

}  // namespace

Engine::Engine(Departure& departure, Deadlines deadlines, std::function<void(const std::string&)> on_error)
    : departure_(departure), deadlines_(deadlines), on_error_(std::move(on_error)) {
  thread_ = start_thread(kMpiThread, [this] { run(); });
  std::future<void> started = started_.get_future();
  Patience(departure_, {"the ranks did not find each other", "--startup-timeout", deadlines_.startup,
                        std::min<std::chrono::milliseconds>(deadlines_.startup, kNobodyEndsIt)})
      .wait_for(started);
  try {
    started.get();
  } catch (...) {
    thread_.join();
    if (launched_rank() != 0) std::this_thread::sleep_for(1s);  // rank 0 says why before a launcher ends it
    throw;
  }
  departure_.on_leaving([&departure] {
    if (departure.signal() == SIGHUP) put_away_shared_memory();
  });
}

void Engine::part() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  const std::future<void> parting = parting_.get_future();
  while (parting.wait_for(1s) != std::future_status::ready) {
  }
  // Who is gone by now may have done all its work.
  Patience(departure_, {"the ranks did not part", "--timeout", deadlines_.collective, deadlines_.collective})
      .wait_for(finished_.get_future());
  thread_.join();
  Patience(departure_, {"the ranks did not end", "--timeout", deadlines_.collective, deadlines_.collective})
      .see_the_others_off();
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

void Engine::end_all(int exit_code) {
  departure_.put_in_order();
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  departure_.now(exit_code);  // should it return
}

void Engine::run() {
  try {
    initialise();
  } catch (...) {
    started_.set_exception(std::current_exception());
    return;
  }
  started_.set_value();
  try {
    serve();
    parting_.set_value();
    finalise();
  } catch (const std::exception& error) {
    departure_.say(fmt::format("rank {}: {}: {}", rank_, this_thread(), error.what()));
    end_all(3);
  }
  finished_.set_value();
}

void Engine::initialise() {
  avoid_forbidden_calls();
  setenv("MPIR_CVAR_SUPPRESS_ABORT_MESSAGE", "1", 0);  // MPICH's words, from every rank, beside the line that says why
  int provided = 0;
  check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
  check_mpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  if (provided < MPI_THREAD_FUNNELED) throw Aborted("MPI_Init_thread: this MPI knows no threads");
  check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &size_), "MPI_Comm_size");
  if (size_ == 1 && launched_ranks() > 1) refuse_a_world_of_one();
  for (MPI_Comm* comm : {&control_, &data_}) {
    check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, comm), "MPI_Comm_dup");
    check_mpi(MPI_Comm_set_errhandler(*comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  }
  introduce();
}

void Engine::refuse_a_world_of_one() {
  MPI_Finalize();
  const std::string library = library_releases().mpi;
  throw Invalid(
      fmt::format("{} processes were started, but MPI tells each that it is alone: start them with `srun "
                  "--mpi={}` or with the {} of {}",
                  launched_ranks(), library.starts_with("MPICH") ? "pmi2" : "pmix",
                  library.starts_with("MPICH") ? "mpiexec" : "mpirun", library));
}

/// Process numbers mean the same to two ranks on one host and in one namespace of them.
void Engine::introduce() {
  ProcessPlace mine;
  mine.process = getpid();
  std::error_code unknown;
  const std::string place = host_name() + " " + std::filesystem::read_symlink("/proc/self/ns/pid", unknown).string();
  place.copy(mine.place.data(), mine.place.size() - 1);
  places_.resize(static_cast<size_t>(size_));
  check_mpi(MPI_Allgather(&mine, sizeof(mine), MPI_BYTE, places_.data(), sizeof(mine), MPI_BYTE, control_),
            "MPI_Allgather");
}

void Engine::serve() {
  Clock::time_point moved = Clock::now();
  while (!may_part()) {
    const bool collected = collect();
    if (progress() || collected) moved = Clock::now();
    nap(Clock::now() - moved);
  }
}

bool Engine::may_part() {
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_) return false;
  }
  return std::none_of(activities_.begin(), activities_.end(),
                      [](const auto& activity) { return activity->ends_the_job(); });
}

/// What MPI still sends or receives is there until it is done. The barrier keeps everybody until all is sent: over UCX
/// MPI_Finalize may wait for a rank that is in it and answers no more.
void Engine::finalise() {
  check_mpi(MPI_Barrier(control_), "MPI_Barrier");
  check_mpi(MPI_Comm_free(&data_), "MPI_Comm_free");
  check_mpi(MPI_Comm_free(&control_), "MPI_Comm_free");
  check_mpi(MPI_Finalize(), "MPI_Finalize");
  activities_.clear();
  failed_.clear();
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
      failed_.push_back(std::move(activity));
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
