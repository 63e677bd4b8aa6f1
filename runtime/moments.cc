#include "runtime/moments.h"

#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace flux {

Spread spread_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  const auto at = [&](double part) {
    return values[static_cast<size_t>(std::lround(part * static_cast<double>(values.size() - 1)))];
  };
  const auto count = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  double squares = 0;
  for (double value : values) squares += (value - mean) * (value - mean);
  return {at(0.5), at(0.05), at(0.95), std::sqrt(squares / count)};
}

double milliseconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

void Moments::mark() {
  if (device_.is_cpu()) return times_.push_back(std::chrono::steady_clock::now());
  events_.emplace_back(device_.type(), c10::EventFlag::BACKEND_DEFAULT);
  events_.back().record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
}

void Moments::wait() {
  if (!events_.empty()) events_.back().synchronize();
}

std::vector<double> Moments::between() {
  wait();
  std::vector<double> result;
  for (size_t i = 1; i < times_.size(); ++i) result.push_back(milliseconds(times_[i] - times_[i - 1]));
  for (size_t i = 1; i < events_.size(); ++i) result.push_back(events_[i - 1].elapsedTime(events_[i]));
  return result;
}

}  // namespace flux
