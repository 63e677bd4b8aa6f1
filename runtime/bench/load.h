#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "runtime/run_log.h"
#include "runtime/source/source.h"

namespace flux {

/// Requests that are measured together. A wave begins when everything is loaded and the one before is finished.
struct Wave {
  std::vector<Request> requests;            // without errors
  std::vector<Time> arrivals{};             // of each, since the wave's beginning; empty: when the one before is done
  std::optional<int> max_concurrency{};     // requests under way; others wait at the client
  std::vector<std::optional<Time>> slos{};  // of each, the latency to be kept; empty: there are none
  std::optional<double> rate{};             // requests a second that the arrivals stand for
  bool of_capacity = false;  // it is of what the last wave without one showed, and arrivals are those of one a second
};

/// A client: a source that hands requests over when they come, which it hears of in the run's log.
class Load : public Source, public Listener {
 public:
  /// What became known of a request by handing it over.
  struct Asked {
    size_t wave = 0;
    Request request;
    std::optional<Time> slo{};
    Time arrival{0};  // when it was to come, on the run's clock: before it was handed over where it had to wait
  };

  Load(std::vector<Wave> waves, Workload workload);

  std::optional<Request> next() override;
  std::optional<Time> due() const override;
  int64_t pictures() const override { return pictures_; }
  Workload workload() const override { return workload_; }

  void on(Time now, const Command& command) override;
  void on(Time now, const Record& record) override;

  /// Those handed over so far, in that order.
  const std::vector<Asked>& asked() const { return asked_; }

  /// When each wave that has begun began.
  const std::vector<Time>& beginnings() const { return beginnings_; }

  /// Requests a second of a wave that has begun, if it has a rate.
  std::optional<double> rate(size_t wave) const { return rates_[wave]; }

  /// When each wave that has begun began, and its last request was done: the next begins then.
  std::vector<std::pair<Time, Time>> stretches() const;

 private:
  void begin_wave(Time now);
  const Wave& wave() const { return waves_[beginnings_.size() - 1]; }
  bool closed_loop() const { return wave().arrivals.empty(); }
  Time next_arrival() const;

  const std::vector<Wave> waves_;
  const Workload workload_;
  int64_t pictures_ = 0;
  std::vector<Time> beginnings_;
  std::vector<std::optional<double>> rates_;
  double capacity_ = 0;              // requests a second
  size_t handed_over_ = 0;           // of the wave
  Time last_done_{0};                // a request of the wave, or its beginning
  std::map<int64_t, size_t> owner_;  // by picture under way: in asked_
  std::map<size_t, int64_t> left_;   // by request under way: its pictures
  std::vector<Asked> asked_;
};

}  // namespace flux
