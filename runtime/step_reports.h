#pragma once

#include <c10/core/Event.h>

#include <cstdint>
#include <functional>
#include <optional>

#include "runtime/messages.h"

namespace flux {

/// Tells of steps that the device has finished. A GPU works behind the host; the host is kept one step ahead of it, so
/// that a step which hangs is noticed and one that is only queued is not counted.
class StepReports {
 public:
  StepReports(at::Device device, int64_t picture, std::function<void(const Step&)> report);

  /// OnStep: step `step` of `steps` is queued behind ATen's current stream.
  void operator()(int64_t step, int64_t steps);

  /// Until the device has done all that is queued there.
  void wait() const;

 private:
  at::Device device_;
  int64_t picture_;
  std::function<void(const Step&)> report_;
  std::optional<c10::Event> before_;
};

}  // namespace flux
