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
  /// `what` "the ranks did not find each other"; `flag` sets the deadline.
  Patience(Departure& departure, std::string what, std::chrono::milliseconds deadline, std::string flag)
      : departure_(departure), what_(std::move(what)), deadline_(deadline), flag_(std::move(flag)) {}

  /// From the main thread.
  void wait_for(const std::future<void>& done);

 private:
  Departure& departure_;
  std::string what_;
  std::chrono::milliseconds deadline_;
  std::string flag_;
};

}  // namespace flux
