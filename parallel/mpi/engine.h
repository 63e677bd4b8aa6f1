#pragma once

#include <mpi.h>

#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "parallel/gate.h"
#include "parallel/rank/departure.h"

namespace flux {

/// Something that needs MPI. Called only from the engine's thread.
class Activity {
 public:
  virtual ~Activity() = default;
  /// Makes the MPI calls that are due, none of which blocks. True when something moved.
  virtual bool progress() = 0;
  /// The engine then lets go of it.
  virtual bool finished() const = 0;
};

/// MPI and the one thread that makes every MPI call. It polls the activities: without a pause while they move, then
/// ever more rarely, so an idle rank uses no core and nobody waits longer than a tenth of what they waited already.
class Engine {
 public:
  /// MPI_Init_thread. `on_error` gets what an activity throws.
  Engine(Departure& departure, std::function<void(const std::string&)> on_error);

  /// MPI_Finalize: collective. Not to be reached once the job is aborted.
  ~Engine();

  Departure& departure() const { return departure_; }
  int rank() const { return rank_; }
  int size() const { return size_; }
  MPI_Comm control() const { return control_; }  // notices, and the envelopes of messages
  MPI_Comm data() const { return data_; }        // tensors

  /// From any thread.
  void add(std::shared_ptr<Activity> activity);
  void wake();

 private:
  void run(std::promise<void> ready);
  void initialise();
  bool collect();
  bool progress();
  void nap(Clock::duration idle);

  Departure& departure_;
  std::function<void(const std::string&)> on_error_;
  int rank_ = 0;
  int size_ = 1;
  MPI_Comm control_ = MPI_COMM_NULL;
  MPI_Comm data_ = MPI_COMM_NULL;
  std::vector<std::shared_ptr<Activity>> activities_;  // the thread's own

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<Activity>> added_;
  bool awake_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace flux
