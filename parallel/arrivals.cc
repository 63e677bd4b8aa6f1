#include "parallel/arrivals.h"

#include "parallel/rank/errors.h"

namespace flux {

void Arrivals::deliver(Received received) {
  const std::lock_guard lock(gate_->mutex);
  arrived_.push_back(std::move(received));
  gate_->changed.notify_all();
}

std::optional<Received> Arrivals::take(std::chrono::milliseconds patience) {
  std::unique_lock lock(gate_->mutex);
  gate_->changed.wait_for(lock, patience, [&] { return !arrived_.empty() || !gate_->aborted.empty(); });
  if (!gate_->aborted.empty()) throw Aborted("receive: " + gate_->aborted);
  if (arrived_.empty()) return std::nullopt;
  Received received = std::move(arrived_.front());
  arrived_.pop_front();
  return received;
}

}  // namespace flux
