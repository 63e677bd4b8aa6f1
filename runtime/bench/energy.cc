#include "runtime/bench/energy.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <string>

#include "parallel/rank/thread_name.h"

namespace flux {
namespace {

using Sent = nlohmann::json;

constexpr std::chrono::milliseconds kBetweenReadings{100};

/// Cards are told by host and UUID.
int first_on_the_card_of(const Placement& placement, int rank) {
  const RankPlace& mine = placement.ranks[rank];
  const auto same = [&](const RankPlace& place) { return place.host == mine.host && place.card == mine.card; };
  return std::ranges::find_if(placement.ranks, same)->rank;
}

bool reads_its_card(const Placement& placement, int rank) {
  return !placement.ranks[rank].card.empty() && first_on_the_card_of(placement, rank) == rank;
}

/// `readings`: not empty.
double joules_at(const std::vector<EnergyReading>& readings, double seconds) {
  const auto above = std::ranges::lower_bound(readings, seconds, {}, &EnergyReading::seconds);
  if (above == readings.begin()) return above->joules;
  const auto below = above - 1;
  if (above == readings.end()) return below->joules;
  return std::lerp(below->joules, above->joules, (seconds - below->seconds) / (above->seconds - below->seconds));
}

}  // namespace

EnergyMeter::EnergyMeter(EnergyCounter counter) : counter_(std::move(counter)) {
  if (!counter_) return;
  read();
  if (!over_) thread_ = start_thread("energy", [this] { read_on(); });
}

EnergyMeter::~EnergyMeter() { stop(); }

std::vector<EnergyReading> EnergyMeter::stop() {
  if (!thread_.joinable()) return std::exchange(readings_, {});
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  thread_.join();
  if (!readings_.empty()) read();
  return std::exchange(readings_, {});
}

/// A counter that falls silent is not guessed at.
void EnergyMeter::read() {
  const std::optional<double> joules = counter_();
  if (joules) return readings_.push_back({seconds(Clock::now()), *joules});
  readings_.clear();
  over_ = true;
}

void EnergyMeter::read_on() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, kBetweenReadings, [this] { return over_; })) read();
}

EnergyCounter counter_of(const Placement& placement, int rank) {
  return reads_its_card(placement, rank) ? energy_counter(placement.ranks[rank].card) : nullptr;
}

std::optional<double> energy_between(const std::vector<EnergyReading>& readings, double from, double to) {
  if (readings.empty()) return std::nullopt;
  return joules_at(readings, to) - joules_at(readings, from);
}

CardEnergy shared_out(const Placement& placement, const CardEnergy& read) {
  CardEnergy energy(read.size());
  for (size_t rank = 0; rank < read.size(); ++rank)
    if (!placement.ranks[rank].card.empty())
      energy[rank] = read[first_on_the_card_of(placement, static_cast<int>(rank))];
  return energy;
}

int card_count(const Placement& placement) {
  return static_cast<int>(std::ranges::count_if(
      placement.ranks, [&](const RankPlace& place) { return reads_its_card(placement, place.rank); }));
}

std::optional<double> energy_of_cards(const Placement& placement, const CardEnergy& energy) {
  double joules = 0;
  for (const RankPlace& place : placement.ranks) {
    const std::optional<double>& its = energy.at(place.rank);
    if (!its) return std::nullopt;
    if (reads_its_card(placement, place.rank)) joules += *its;
  }
  return joules;
}

std::vector<CardEnergy> energy_of_waves(const std::vector<std::pair<double, double>>& waves,
                                        const std::vector<EnergyReading>& readings, const Placement& placement,
                                        World& world) {
  const std::vector<std::string> all_waves = world.exchange(Sent(waves).dump());
  Sent mine = Sent::array();
  for (const auto& [from, to] : Sent::parse(all_waves.front()).get<std::vector<std::pair<double, double>>>()) {
    const std::optional<double> joules = energy_between(readings, from, to);
    mine.push_back(joules ? Sent(*joules) : Sent());
  }
  std::vector<CardEnergy> read(mine.size());
  for (const std::string& theirs : world.exchange(mine.dump())) {
    const Sent joules = Sent::parse(theirs);
    for (size_t wave = 0; wave < read.size(); ++wave)
      read[wave].push_back(joules[wave].is_null() ? std::nullopt : std::optional(joules[wave].get<double>()));
  }
  for (CardEnergy& wave : read) wave = shared_out(placement, wave);
  return read;
}

}  // namespace flux
