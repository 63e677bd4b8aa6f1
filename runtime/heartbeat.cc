#include "runtime/heartbeat.h"

#include <chrono>
#include <utility>

#include "parallel/rank/thread_name.h"

namespace flux {

Heartbeat::Heartbeat(std::function<void(const Step&)> report)
    : report_(std::move(report)), thread_(start_thread("heartbeat", [this] { beat(); })) {}

Heartbeat::~Heartbeat() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Heartbeat::at(const Step& step) {
  const std::lock_guard lock(mutex_);
  step_ = step;
  report_(step_);
}

void Heartbeat::beat() {
  std::unique_lock lock(mutex_);
  while (!over_) {
    report_(step_);
    changed_.wait_for(lock, std::chrono::milliseconds(250), [this] { return over_; });
  }
}

}  // namespace flux
