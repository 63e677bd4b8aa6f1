#pragma once

#include <mpi.h>

#include <array>
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
#include "parallel/world.h"

namespace flux {

/// Something that needs MPI. Called only from the engine's thread.
class Activity {
 public:
  virtual ~Activity() = default;
  /// Makes the MPI calls that are due, none of which blocks. True when something moved.
  virtual bool progress() = 0;
  /// The engine then lets go of it: MPI uses none of its memory any more.
  virtual bool finished() const = 0;
  /// It ends the job: the engine does not part from the others as if all were well.
  virtual bool ends_the_job() const { return false; }
};

/// Where the process of a rank is.
struct ProcessPlace {
  int process = 0;                // its number, the same to ranks of one place
  std::array<char, 252> place{};  // host and namespace of process numbers
};

/// MPI and the one thread that makes every MPI call. It polls the activities: without a pause while they move, then
/// ever more rarely, so an idle rank uses no core and nobody waits longer than a tenth of what they waited already.
class Engine {
 public:
  /// MPI_Init_thread, and who the ranks are: collective. When others do not come within the startup deadline, one rank
  /// says who, and the process ends. `on_error` gets what an activity throws.
  Engine(Departure& departure, Deadlines deadlines, std::function<void(const std::string&)> on_error);

  ~Engine() { part(); }

  /// MPI_Finalize: collective, within the deadline for collectives. Does not return once the job is being ended.
  void part();

  Departure& departure() const { return departure_; }
  int rank() const { return rank_; }
  int size() const { return size_; }
  MPI_Comm control() const { return control_; }                        // notices, and the envelopes of messages
  MPI_Comm data() const { return data_; }                              // tensors
  const std::vector<ProcessPlace>& places() const { return places_; }  // by rank

  /// From any thread.
  void add(std::shared_ptr<Activity> activity);
  void wake();

  /// MPI_Abort, from the engine's thread.
  [[noreturn]] void end_all(int exit_code);

 private:
  void run();
  void initialise();
  void refuse_a_world_of_one();
  void introduce();
  void serve();
  bool collect();
  bool progress();
  void nap(Clock::duration idle);
  bool may_part();
  void finalise();

  Departure& departure_;
  const Deadlines deadlines_;
  std::function<void(const std::string&)> on_error_;
  int rank_ = 0;
  int size_ = 1;
  MPI_Comm control_ = MPI_COMM_NULL;
  MPI_Comm data_ = MPI_COMM_NULL;
  std::vector<ProcessPlace> places_;
  std::vector<std::shared_ptr<Activity>> activities_;  // the thread's own
  std::vector<std::shared_ptr<Activity>> failed_;      // MPI may still read and write their memory

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<Activity>> added_;
  bool awake_ = false;
  bool stopping_ = false;
  std::promise<void> started_, parting_, finished_;
  std::thread thread_;
};

}  // namespace flux
