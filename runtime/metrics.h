#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/placement.h"
#include "runtime/run_log.h"

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
class Registry;
}  // namespace prometheus

namespace flux {

/// What a run tells monitoring, as Prometheus knows it: pictures asked for, left and done, those at each stage, how
/// long stages take, how busy ranks are and what memory they took. Nothing of prompts or paths. text() is for any
/// thread.
class Metrics : public Listener {
 public:
  /// `there`: of the pictures, those that a run before has drawn.
  Metrics(int64_t pictures, int64_t there, const Placement& placement);
  ~Metrics() override;

  void on(Time now, const Event& event) override;
  void on(Time now, const Command& command) override;
  void on(Time now, const Record& record) override;

  /// All of it in Prometheus' text format.
  std::string text() const;

 private:
  /// A stage that works on one thing after the other.
  struct Busy {
    prometheus::Counter* seconds = nullptr;
    Time since{0};
    int64_t waiting = 0;  // with what it works on

    void take(Time now);
    void done(Time now);
  };

  struct UnderWay {
    prometheus::Gauge* stage;
    Time submitted;
  };

  /// The picture waits for that stage, or is in it.
  void move(int64_t picture, prometheus::Gauge* stage);

  std::shared_ptr<prometheus::Registry> registry_;
  int64_t left_;
  prometheus::Gauge* left_gauge_;
  std::map<int, Busy> encoders_, decoders_, replicas_;         // by rank; by number
  std::map<int64_t, int> encoded_by_, decoded_by_, drawn_by_;  // what is under way
  prometheus::Counter* drawn_;
  prometheus::Counter* failed_;
  std::map<std::string, prometheus::Histogram*> stages_;
  prometheus::Histogram* whole_;
  std::map<std::string, prometheus::Gauge*> at_stage_;
  std::map<int64_t, UnderWay> under_way_;              // by picture, from submitted to finished
  std::map<int64_t, std::vector<int64_t>> to_encode_;  // pictures by request
  std::map<int, prometheus::Gauge*> peak_memory_;      // by rank
};

}  // namespace flux
