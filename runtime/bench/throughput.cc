#include "runtime/bench/throughput.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <ctime>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "model/reproducible_arithmetic.h"
#include "runtime/coordinator.h"
#include "runtime/journal.h"
#include "runtime/peak_memory.h"
#include "runtime/progress.h"
#include "runtime/rank_loop.h"
#include "runtime/sink/dropped_pictures.h"
#include "runtime/sink/folder_sink.h"
#include "runtime/worker.h"

namespace flux {
namespace {

/// When the run's clock began, on this process's.
class ClocksBeginning : public Listener {
 public:
  void on(Time now, const Event& /*event*/) override { when = EnergyMeter::Clock::now() - now; }

  EnergyMeter::Clock::time_point when;
};

/// Where pictures go, and who hears of them. A folder holds what generate would leave in it.
class Receivers {
 public:
  Receivers(const ThroughputDesk& desk, const RunFacts& facts, const OperationOptions& operation, World& world)
      : progress_(operation.progress, desk.load.pictures(), 0, facts.placement) {
    std::vector<Listener*> listeners = {&desk.load, &log, &progress_, &beginning};
    if (desk.output == nullptr) {
      sink = std::make_unique<DroppedPictures>();
    } else {
      journal_ = std::make_unique<Journal>(*desk.output, facts);
      listeners.insert(listeners.begin(), journal_.get());  // nothing is told before it is written down
      sink = std::make_unique<FolderSink>(*desk.output, facts,
                                          [&world] { world.mailbox().send(world.rank(), pack(Report(Written{}))); });
    }
    run_log = RunLog(std::move(listeners));
  }

  void end(const Ending& ending) {
    if (journal_) journal_->end(ending);
    progress_.finish();
  }

  PictureLog log;
  ClocksBeginning beginning;
  RunLog run_log{{}};
  std::unique_ptr<Sink> sink;

 private:
  std::unique_ptr<Journal> journal_;
  Progress progress_;
};

/// Seconds that the calling thread has had a core.
double core_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Of each wave: from its beginning to its end, seconds since the meter's.
std::vector<std::pair<double, double>> on_the_meter(const Load& load, const ClocksBeginning& beginning,
                                                    const EnergyMeter& meter) {
  std::vector<std::pair<double, double>> waves;
  for (const auto& [from, to] : load.stretches())
    waves.emplace_back(meter.seconds(beginning.when + from), meter.seconds(beginning.when + to));
  return waves;
}

Ending draw(Receivers& receivers, Load& load, Worker& worker, const RunFacts& facts, const OperationOptions& operation,
            World& world, Departure& departure) {
  Coordinator coordinator({world, load, *receivers.sink, receivers.run_log, departure}, facts.placement, operation);
  Ending ending;
  try {
    ending = RankLoop{world, departure, facts.placement, operation, worker, &coordinator}.run();
  } catch (const std::exception& error) {
    ending = {kFailed, error.what()};
  }
  if (!orderly(ending.exit_code)) world.end(ending);
  try {
    receivers.end(ending);
  } catch (const std::exception& error) {  // the disk may be what ended the run
    if (orderly(ending.exit_code)) ending = {kFailed, error.what()};
    world.end(ending);
  }
  if (!orderly(ending.exit_code)) return ending;
  stop_others(world, ending.exit_code);
  return ending;
}

}  // namespace

ThroughputRun run_throughput(const Checkpoint& checkpoint, const RunFacts& facts, const OperationOptions& operation,
                             const ThroughputDesk* desk, World& world, Departure& departure) {
  departure.answer_signals_within(kToAnswer);
  demand_reproducible_arithmetic();
  world.exchange("");  // so that the meters of all hosts begin together
  EnergyMeter meter(counter_of(facts.placement, world.rank()));
  std::unique_ptr<Receivers> receivers;
  if (desk != nullptr) receivers = std::make_unique<Receivers>(*desk, facts, operation, world);
  Worker worker(checkpoint, facts.placement, world);
  const double before = core_seconds();
  Ending ending;
  if (desk != nullptr) {
    ending = draw(*receivers, desk->load, worker, facts, operation, world, departure);
  } else {
    ending = RankLoop{world, departure, facts.placement, operation, worker}.run();
    if (!orderly(ending.exit_code)) world.end(ending);
  }
  ThroughputRun run{ending.exit_code, {}, {}, core_seconds() - before, {}};
  if (!orderly(ending.exit_code)) return run;
  std::vector<std::pair<double, double>> waves;
  if (receivers) waves = on_the_meter(desk->load, receivers->beginning, meter);
  run.energy = energy_of_waves(waves, meter.stop(), facts.placement, world);
  const int64_t mine = peak_memory(facts.placement.ranks[world.rank()].device);
  for (const std::string& theirs : world.exchange(std::to_string(mine))) run.peak_memory.push_back(std::stoll(theirs));
  if (receivers) run.log = std::move(receivers->log);
  return run;
}

}  // namespace flux
