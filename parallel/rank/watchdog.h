#pragma once

#include <ATen/ATen.h>
#include <c10/core/Event.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace flux {

/// A thread that looks after its rank's work, also while the main thread is stuck in it or the host is far ahead of
/// the card: when a piece of work takes longer than `timeout`, it says so once to `on_hang`.
class Watchdog {
 public:
  Watchdog(std::chrono::milliseconds timeout, std::function<void(const std::string& why)> on_hang);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// What is computed or queued on ATen's current stream of `device` from now on is `work` ("step 3 of 28"), until
  /// the next call.
  void begin(std::string work, at::Device device);

  /// Nothing is to be done from here on, until the next begin().
  void rest(at::Device device) { begin("", device); }

 private:
  using Clock = std::chrono::steady_clock;

  struct Mark {
    std::string work;
    c10::Event reached;  // where the work begins on the stream
  };

  void watch();
  bool hangs();

  std::chrono::milliseconds timeout_;
  std::function<void(const std::string&)> on_hang_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Mark> ahead_;  // CUDA: queued, not yet reached
  std::string now_;         // what is going on; empty: rest
  Clock::time_point since_ = Clock::now();
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace flux
