#include "parallel/rank/watchdog.h"

#include <fmt/format.h>

#include <algorithm>

#include "parallel/group.h"

namespace flux {

Watchdog::Watchdog(std::chrono::milliseconds timeout, std::function<void(const std::string&)> on_hang)
    : timeout_(timeout), on_hang_(std::move(on_hang)), thread_([this] { watch(); }) {}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void Watchdog::begin(std::string work, at::Device device) {
  const std::lock_guard lock(mutex_);
  const bool resting = now_.empty() && ahead_.empty();
  if (resting || device.is_cpu()) {
    since_ = Clock::now();
    now_ = work;
  }
  if (device.is_cpu()) return;
  c10::Event reached(device.type());
  reached.record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
  ahead_.push_back({std::move(work), std::move(reached)});
}

void Watchdog::watch() {
  const auto interval = std::min(timeout_ / 10, std::chrono::milliseconds(100));
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, interval, [&] { return stopping_; })) {
    if (!hangs()) continue;
    const std::string why = fmt::format("{} has not ended within {}", now_, seconds(timeout_));
    lock.unlock();
    on_hang_(why);
    return;
  }
}

bool Watchdog::hangs() {
  while (!ahead_.empty() && ahead_.front().reached.query()) {
    now_ = std::move(ahead_.front().work);
    since_ = Clock::now();
    ahead_.pop_front();
  }
  return !now_.empty() && Clock::now() - since_ > timeout_;
}

}  // namespace flux
