#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "runtime/options.h"
#include "runtime/placement.h"
#include "runtime/run_log.h"

namespace flux {

/// Tells on stderr how far a run is: a line a picture and one every ten seconds, or a bar.
class Progress : public Listener {
 public:
  /// `there`: of the pictures, those that a run before has drawn.
  Progress(ProgressStyle style, int64_t pictures, int64_t there, const Placement& placement);

  void on(Time now, const Event& event) override;
  void on(Time now, const Command& command) override;
  void on(Time now, const Record& record) override;

  /// What an operator asks: pictures done and failed, where each replica is, pictures an hour, time left, the slowest
  /// replica.
  std::string state() const;

  /// The last line: pictures, seconds, pictures an hour.
  void finish();

 private:
  struct ReplicaState {
    std::string step;  // "3/28", of the picture that it draws
    int64_t drawn = 0;
    double seconds = 0;  // of denoising them
  };

  double seconds_a_picture() const;
  int64_t finished() const { return there_ + drawn_ + failed_; }
  std::string slowest_replica() const;
  void show(Time now);
  void draw_bar();

  const ProgressStyle style_;
  const int64_t pictures_, there_;
  const Placement& placement_;
  Time now_{0}, drawing_began_{0}, shown_{0};
  bool begun_ = false;
  int64_t drawn_ = 0, failed_ = 0;
  std::map<int, ReplicaState> replicas_;
};

}  // namespace flux
