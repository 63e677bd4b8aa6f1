#pragma once

#include <ATen/ATen.h>
#include <c10/core/Event.h>

#include <chrono>
#include <deque>
#include <vector>

namespace flux {

/// Some measurements of the same thing.
struct Spread {
  double median = 0, p5 = 0, p95 = 0, deviation = 0;
};
Spread spread_of(std::vector<double> values);

double milliseconds(std::chrono::steady_clock::duration duration);

/// Moments of a device, behind what is queued on the current stream.
class Moments {
 public:
  explicit Moments(at::Device device) : device_(device) {}

  void mark();

  /// Until the device has come to the last.
  void wait();

  /// Milliseconds between each and the next, once the device has come so far.
  std::vector<double> between();

 private:
  at::Device device_;
  std::vector<std::chrono::steady_clock::time_point> times_;
  std::deque<c10::Event> events_;
};

/// Milliseconds by the host's clock that `act` takes, until the device has come to the end of what it queued.
template <typename Act>
double milliseconds_of(at::Device device, const Act& act) {
  const auto began = std::chrono::steady_clock::now();
  act();
  Moments end(device);
  end.mark();
  end.wait();
  return milliseconds(std::chrono::steady_clock::now() - began);
}

}  // namespace flux
