#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "runtime/options.h"
#include "runtime/record.h"

namespace flux {

/// Tells on stderr how far a run is. Thread-safe.
class Progress {
 public:
  Progress(ProgressStyle style, int64_t pictures);

  /// Every part of the model is loaded.
  void loaded();
  void step(int replica, int64_t step, int64_t steps);
  /// Takes the bar away, so that its result can be printed; show() brings it back.
  void recorded(const Record& record);
  void show();
  /// Called often; draws when it is time.
  void tick();
  /// The last line: pictures, seconds, seconds a picture.
  void finish();

  int64_t failed() const;

 private:
  using Clock = std::chrono::steady_clock;

  double seconds() const { return std::chrono::duration<double>(Clock::now() - began_).count(); }
  std::string state() const;
  void draw_bar();
  void clear_bar();

  const ProgressStyle style_;
  const int64_t pictures_;
  const Clock::time_point began_ = Clock::now();
  mutable std::mutex mutex_;
  Clock::time_point drawing_began_ = began_;
  Clock::time_point shown_ = began_;
  int64_t drawn_ = 0, failed_ = 0;
  std::map<int, std::string> steps_;  // by replica
  bool bar_on_screen_ = false;
};

}  // namespace flux
