#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "runtime/messages.h"

namespace flux {

/// Repeats a rank's last step four times a second, so that the coordinator can tell a rank that is slow from one that
/// is gone.
class Heartbeat {
 public:
  explicit Heartbeat(std::function<void(const Step&)> report);
  ~Heartbeat();

  /// Reports this step now, and again until the next.
  void at(const Step& step);

 private:
  void beat();

  std::function<void(const Step&)> report_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Step step_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace flux
