#pragma once

#include <deque>
#include <memory>

#include "parallel/gate.h"
#include "parallel/mailbox.h"

namespace flux {

/// Messages that arrived at one rank and wait to be received.
class Arrivals {
 public:
  explicit Arrivals(std::shared_ptr<Gate> gate) : gate_(std::move(gate)) {}

  void deliver(Received received);

  /// The next message, or nothing after `patience`. Throws Aborted when the job ended.
  std::optional<Received> take(std::chrono::milliseconds patience);

 private:
  std::shared_ptr<Gate> gate_;
  std::deque<Received> arrived_;  // under the gate's mutex
};

}  // namespace flux
