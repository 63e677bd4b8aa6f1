#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "parallel/rank/device.h"
#include "parallel/world.h"
#include "runtime/placement.h"

namespace flux {

/// What a card's counter said, joules, when: seconds since its meter began.
struct EnergyReading {
  double seconds = 0, joules = 0;
};

/// Reads a card's counter ten times a second: only afterwards a rank learns when what is measured began and ended.
class EnergyMeter {
 public:
  using Clock = std::chrono::steady_clock;

  /// Without a counter, and where it says nothing, there are no readings.
  explicit EnergyMeter(EnergyCounter counter);
  ~EnergyMeter();

  /// Reads once more, and no more. Empty where the counter ever said nothing.
  std::vector<EnergyReading> stop();

  double seconds(Clock::time_point when) const { return std::chrono::duration<double>(when - began_).count(); }

 private:
  void read();
  void read_on();

  const EnergyCounter counter_;
  const Clock::time_point began_ = Clock::now();
  std::vector<EnergyReading> readings_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread thread_;
};

/// By rank: joules that its card used, which ranks may share. Nothing on a CPU, and where the driver does not say.
using CardEnergy = std::vector<std::optional<double>>;

/// Of the rank's card, where it is the first on it; else none: each card is read once.
EnergyCounter counter_of(const Placement& placement, int rank);

/// Joules from one time to another, seconds, with linear interpolation between readings. Nothing without readings.
std::optional<double> energy_between(const std::vector<EnergyReading>& readings, double from, double to);

/// From what the first rank on each card has read, what every rank on it says: as `read`, but for those that share one.
CardEnergy shared_out(const Placement& placement, const CardEnergy& read);

/// That the job's ranks use, each once.
int card_count(const Placement& placement);

/// Joules of all cards, each once. Nothing where one of them is not known, or a rank has none.
std::optional<double> energy_of_cards(const Placement& placement, const CardEnergy& energy);

/// Collective over the world: by wave. `waves`, of rank 0: from when to when, seconds since the meters began.
std::vector<CardEnergy> energy_of_waves(const std::vector<std::pair<double, double>>& waves,
                                        const std::vector<EnergyReading>& readings, const Placement& placement,
                                        World& world);

}  // namespace flux
