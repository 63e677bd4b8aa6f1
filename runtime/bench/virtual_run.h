#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <set>
#include <tuple>
#include <vector>

#include "runtime/bench/load.h"
#include "runtime/bench/picture_log.h"
#include "runtime/run_log.h"
#include "runtime/scheduler.h"

namespace flux {

/// What every picture takes alike.
struct StageTimes {
  Time encode{10}, denoise{1000}, decode{100}, write{5};
  Time on_the_way{2};      // after each of the first three
  double coordinator = 0;  // milliseconds of the coordinator, which does one thing at a time
};

/// A run of a load by the scheduler of real runs, without ranks and clock.
class VirtualRun {
 public:
  /// `load` outlives it.
  VirtualRun(Load& load, const Scheduler::Setup& setup, const StageTimes& times);

  std::set<int64_t> bad;  // requests of one picture each that cannot be encoded

  void run();

  const PictureLog& log() const { return log_; }

  /// Seconds in which the coordinator was at work.
  double coordinating() const { return 1e-3 * coordinating_; }

 private:
  struct Later {
    Time when;
    int64_t order;
    std::function<void()> act;
    bool operator<(const Later& other) const { return std::tie(when, order) > std::tie(other.when, other.order); }
  };

  void after(Time time, std::function<void()> act) { later_.push({now_ + time, order_++, std::move(act)}); }
  void arrive(Time time, const Event& event);
  void hear(const Event& event);
  void tell(const Event& event);
  void take_request();
  void draw(int replica);
  void begin();
  Time next() const;

  template <typename Kind>
  void obey(const Kind&) {}
  void obey(const command::Encode& of);
  void obey(const command::Denoise& of);
  void obey(const command::Decode& of);
  void obey(const command::Write& of);
  void obey(const command::Stop&) { stopped_ = true; }

  const Scheduler::Setup setup_;
  const StageTimes times_;
  Load& load_;
  PictureLog log_;
  RunLog run_log_{{&load_, &log_}};
  std::vector<std::vector<int64_t>> drawing_;  // by replica: the first is being drawn
  Scheduler scheduler_;
  std::priority_queue<Later> later_;
  int64_t order_ = 0;
  Time now_{0};
  double coordinator_free_ = 0, coordinating_ = 0;  // milliseconds
  bool closed_ = false, stopped_ = false;
};

/// `count` requests of one picture each, the first of which is the first-th of the run.
std::vector<Request> numbered(int64_t first, int64_t count);

}  // namespace flux
