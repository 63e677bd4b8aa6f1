#pragma once

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cstdint>

namespace flux {

/// What keeps this thread from queueing work on a card, counted for as long as the object lives: how often ATen waits
/// for the card here, and how often it takes memory from the driver. One at a time in a process.
class Interruptions {
 public:
  explicit Interruptions(at::Device card);
  ~Interruptions();
  Interruptions(const Interruptions&) = delete;
  Interruptions& operator=(const Interruptions&) = delete;

  int64_t waits() const { return handler_.waits; }
  int64_t allocations() const;

 private:
  /// ATen warns of each wait; what else it warns of is said as ever.
  struct Handler : c10::WarningHandler {
    void process(const c10::Warning& warning) override;
    int64_t waits = 0;
  };

  at::Device card_;
  int64_t allocations_at_first_;
  Handler handler_;
  c10::WarningUtils::WarningHandlerGuard handled_here_{&handler_};
};

}  // namespace flux
