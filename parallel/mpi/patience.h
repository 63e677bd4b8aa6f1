#pragma once

#include <chrono>
#include <future>
#include <string>

#include "parallel/rank/departure.h"

namespace flux {

/// Waits for what MPI does all ranks together and cannot be asked about: finding each other, and parting. Who is
/// missing is seen from outside. When a rank is late, has died, or the job is told to end, one rank of the host says
/// so and the process ends: it does not return then.
class Patience {
 public:
  struct Limits {
    std::string what;                         // "the ranks did not find each other"
    std::string flag;                         // sets the deadline
    std::chrono::milliseconds deadline;       // for all
    std::chrono::milliseconds after_a_death;  // of a rank of this host, if no launcher ends the job for it (srun)
  };

  Patience(Departure& departure, Limits limits) : departure_(departure), limits_(std::move(limits)) {}

  /// From the main thread.
  void wait_for(const std::future<void>& done);

  /// Until the other ranks of this host have ended, of whom the lowest is the last to go: one that stops where MPI is
  /// over would keep the launcher waiting for ever.
  void see_the_others_off();

 private:
  Departure& departure_;
  Limits limits_;
};

}  // namespace flux
