#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "runtime/options.h"
#include "runtime/placement.h"
#include "runtime/run_log.h"

namespace flux {

/// Tells on stderr how far a run is.
class Progress : public Listener {
 public:
  /// `there`: of the pictures, those that a run before has drawn.
  Progress(ProgressStyle style, int64_t pictures, int64_t there, const Placement& placement);

  void on(Time, const Event& event) override;
  void on(Time, const Command& command) override;
  void on(Time, const Record& record) override;

  /// Called often; draws when it is time.
  void tick();
  /// The last line: pictures, seconds, seconds a picture.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;

  double seconds() const { return std::chrono::duration<double>(Clock::now() - began_).count(); }
  double seconds_a_picture() const;
  int64_t finished() const { return there_ + drawn_ + failed_; }
  std::string state() const;
  void draw_bar();

  const ProgressStyle style_;
  const int64_t pictures_, there_;
  const Placement& placement_;
  const Clock::time_point began_ = Clock::now();
  Clock::time_point drawing_began_ = began_;
  Clock::time_point shown_ = began_;
  int64_t drawn_ = 0, failed_ = 0;
  std::map<int, std::string> steps_;  // by replica
};

}  // namespace flux
