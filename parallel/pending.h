#pragma once

#include <functional>
#include <utility>

namespace flux {

/// A collective that is under way. wait() must be called once, before its result is read or its inputs are written.
/// On CUDA it makes ATen's current stream wait (capturable, the host goes on); on the CPU it blocks to the
/// communicator's deadline and throws TimedOut, or Aborted after abort().
class Pending {
 public:
  explicit Pending(std::function<void()> wait) : wait_(std::move(wait)) {}
  void wait() { wait_(); }

 private:
  std::function<void()> wait_;
};

}  // namespace flux
