#include "runtime/bench/simulation.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

#include "parallel/rank/errors.h"
#include "runtime/bench/throughput_result.h"
#include "runtime/bench/virtual_run.h"

namespace flux {
namespace {

constexpr double kFull = 0.97;  // of the time: nothing else limits
constexpr double kMore = 1.01;  // times the pictures: worth an encoder more

/// The scheduler's clock counts milliseconds: where it runs slower, so that a picture takes ten seconds, stages of less
/// than one count too.
class SlowClock {
 public:
  explicit SlowClock(const MeasuredStages& measured) : times_(10 / measured.denoise) {}
  Time operator()(double seconds) const { return Time{std::llround(1000 * seconds * times_)}; }
  double times() const { return times_; }

 private:
  double times_;
};

StageTimes stage_times(const MeasuredStages& measured, const SlowClock& clock) {
  return {.encode = clock(measured.encode),
          .denoise = clock(measured.denoise),
          .decode = clock(measured.decode),
          .write = clock(measured.write),
          .on_the_way = clock(measured.transfer / 3),
          .coordinator = 1000 * measured.coordinator * clock.times()};
}

/// Encoders, which decode too, before all replicas; a rank alone does everything.
Placement placed(int ranks, int encoders, int ranks_per_replica) {
  Placement placement;
  placement.ranks.resize(static_cast<size_t>(ranks));
  const int first = ranks == 1 ? 0 : encoders;
  for (int rank = first; rank + ranks_per_replica <= ranks; rank += ranks_per_replica) {
    Replica& replica = placement.replicas.emplace_back();
    for (int member = 0; member < ranks_per_replica; ++member) replica.ranks.push_back(rank + member);
  }
  return placement;
}

Scheduler::Setup setup_of(const Placement& placement, int encoders) {
  Scheduler::Setup setup;
  for (int rank = 0; rank < encoders; ++rank) setup.encoders.push_back(rank);
  setup.decoders = setup.encoders;
  for (const Replica& replica : placement.replicas) setup.replicas.push_back(replica.ranks);
  return setup;
}

/// So many that their beginning and end count for little, and a simulation of many ranks ends soon.
int64_t pictures_of(const MeasuredStages& measured, int64_t replicas) {
  constexpr int64_t each = 16, enough = 1000;
  const auto most = static_cast<double>(std::max(enough, each * replicas));
  return std::llround(std::min(measured.pictures_per_replica * static_cast<double>(replicas), most));
}

/// The largest part of the time that one of them was at work.
template <typename Uses, typename Seconds>
double busiest(const Uses& uses, double duration, Seconds seconds) {
  double most = 0;
  for (const auto& use : uses) most = std::max(most, seconds(use) / duration);
  return most;
}

std::string limit_of(const WaveResult& wave, const SimulatedRun& run) {
  if (run.coordinator_busy > kFull) return "coordinator";
  if (busiest(wave.ranks, wave.duration, [](const RankUse& use) { return use.encode; }) > kFull) return "encoders";
  if (busiest(wave.ranks, wave.duration, [](const RankUse& use) { return use.decode; }) > kFull) return "decoding";
  ReplicaUse idle;
  for (const ReplicaUse& use : wave.replicas) {
    idle.waiting_for_encoder += use.waiting_for_encoder;
    idle.waiting_for_decoder += use.waiting_for_decoder;
  }
  const double waited = wave.duration * static_cast<double>(wave.replicas.size()) * (1 - kFull);
  if (idle.waiting_for_encoder > std::max(waited, idle.waiting_for_decoder)) return "encoders";
  return idle.waiting_for_decoder > waited ? "decoding" : "replicas";
}

SimulatedRun simulated(const MeasuredStages& measured, int ranks, int encoders) {
  const Placement placement = placed(ranks, encoders, measured.ranks_per_replica);
  const auto replicas = static_cast<int64_t>(placement.replicas.size());
  SimulatedRun run{.ranks = ranks,
                   .encoders = encoders,
                   .replicas = static_cast<int>(replicas),
                   .pictures = pictures_of(measured, replicas)};
  if (replicas == 0)
    throw Invalid(fmt::format("--ranks {}: with {} that encode none is left for a replica of {}", ranks, encoders,
                              measured.ranks_per_replica));
  Load load({{numbered(0, run.pictures), std::vector<Time>(static_cast<size_t>(run.pictures))}}, {});
  const SlowClock clock(measured);
  VirtualRun virtual_run(load, setup_of(placement, encoders), stage_times(measured, clock));
  virtual_run.run();
  const WaveResult wave = wave_result(load, virtual_run.log(), 0, placement);
  run.images_per_hour = 3600 * static_cast<double>(run.pictures) * clock.times() / wave.duration;
  for (const ReplicaUse& use : wave.replicas) run.replicas_busy += use.busy / wave.duration;
  run.replicas_busy /= static_cast<double>(replicas);
  for (int rank = 0; rank < encoders; ++rank) {
    const RankUse& use = wave.ranks[static_cast<size_t>(rank)];
    run.encoders_busy += std::min(1.0, (use.encode + use.decode) / wave.duration) / encoders;
  }
  run.coordinator_busy = std::min(1.0, virtual_run.coordinating() / wave.duration);
  run.limit = limit_of(wave, run);
  return run;
}

/// With as many encoders as were measured, and with as many as help.
void simulate_ranks(const MeasuredStages& measured, int ranks, std::vector<SimulatedRun>& runs) {
  const SimulatedRun first = simulated(measured, ranks, measured.encoders);
  SimulatedRun best = first;
  while (best.limit == "encoders" || best.limit == "decoding") {
    const int encoders = 2 * best.encoders;
    if (encoders + measured.ranks_per_replica > ranks) break;
    SimulatedRun more = simulated(measured, ranks, encoders);
    if (more.images_per_hour < kMore * best.images_per_hour) break;
    best = std::move(more);
  }
  runs.push_back(first);
  if (best.encoders > first.encoders) runs.push_back(std::move(best));
}

}  // namespace

std::vector<SimulatedRun> simulate(const MeasuredStages& measured, std::optional<int> ranks) {
  std::vector<SimulatedRun> runs;
  if (ranks) {
    simulate_ranks(measured, *ranks, runs);
    return runs;
  }
  for (int each = measured.ranks; each < kMostRanks; each *= 2) simulate_ranks(measured, each, runs);
  simulate_ranks(measured, kMostRanks, runs);
  return runs;
}

std::string simulation_table(const std::vector<SimulatedRun>& runs) {
  std::string table =
      "ranks\tencoders\treplicas\tpictures\tpictures an hour\treplicas busy, %\tencoders busy, %\tcoordinator busy, "
      "%\tlimit\n";
  for (const SimulatedRun& run : runs)
    table += fmt::format("{}\t{}\t{}\t{}\t{:.0f}\t{:.1f}\t{:.1f}\t{:.1f}\t{}\n", run.ranks, run.encoders, run.replicas,
                         run.pictures, run.images_per_hour, 100 * run.replicas_busy, 100 * run.encoders_busy,
                         100 * run.coordinator_busy, run.limit);
  return table;
}

std::string simulation_json(const std::vector<SimulatedRun>& runs) {
  auto json = nlohmann::ordered_json::array();
  for (const SimulatedRun& run : runs)
    json.push_back({{"ranks", run.ranks},
                    {"encoders", run.encoders},
                    {"replicas", run.replicas},
                    {"pictures", run.pictures},
                    {"images_per_hour", run.images_per_hour},
                    {"replicas_busy", run.replicas_busy},
                    {"encoders_busy", run.encoders_busy},
                    {"coordinator_busy", run.coordinator_busy},
                    {"limit", run.limit}});
  return json.dump(2) + "\n";
}

}  // namespace flux
