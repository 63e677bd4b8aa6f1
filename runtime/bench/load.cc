#include "runtime/bench/load.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <variant>

namespace flux {

Load::Load(std::vector<Wave> waves, Workload workload) : waves_(std::move(waves)), workload_(std::move(workload)) {
  for (const Wave& wave : waves_)
    for (const Request& request : wave.requests) pictures_ += request.pictures;
}

std::optional<Time> Load::due() const {
  if (beginnings_.empty()) return std::nullopt;
  if (handed_over_ == wave().requests.size())
    return beginnings_.size() == waves_.size() ? std::optional(Time{0}) : std::nullopt;
  const auto under_way = static_cast<int>(left_.size());
  if (under_way >= wave().max_concurrency.value_or(under_way + 1)) return std::nullopt;
  if (!closed_loop()) return next_arrival();
  return under_way > 0 ? std::nullopt : std::optional(last_done_);
}

std::optional<Request> Load::next() {
  if (handed_over_ == wave().requests.size()) return std::nullopt;
  const Request& request = wave().requests[handed_over_];
  const Time arrival = closed_loop() ? last_done_ : next_arrival();
  const std::optional<Time> slo = wave().slos.empty() ? std::nullopt : wave().slos[handed_over_];
  ++handed_over_;
  for (int64_t k = 0; k < request.pictures; ++k) owner_[request.first_picture + k] = asked_.size();
  left_[asked_.size()] = request.pictures;
  asked_.push_back({beginnings_.size() - 1, request, slo, arrival});
  return request;
}

void Load::on(Time now, const Command& command) {
  if (std::holds_alternative<command::Begin>(command)) begin_wave(now);
}

void Load::on(Time now, const Record& record) {
  const size_t owner = owner_.at(record.picture);
  owner_.erase(record.picture);
  if (--left_.at(owner) > 0) return;
  left_.erase(owner);
  last_done_ = now;
  if (left_.empty() && handed_over_ == wave().requests.size() && beginnings_.size() < waves_.size()) begin_wave(now);
}

std::vector<std::pair<Time, Time>> Load::stretches() const {
  std::vector<std::pair<Time, Time>> all;
  for (size_t wave = 0; wave < beginnings_.size(); ++wave)
    all.emplace_back(beginnings_[wave], wave + 1 < beginnings_.size() ? beginnings_[wave + 1] : last_done_);
  return all;
}

Time Load::next_arrival() const {
  const Time arrival = wave().arrivals[handed_over_];
  const double times_faster = wave().of_capacity ? *rates_.back() : 1;
  return beginnings_.back() + Time(std::llround(static_cast<double>(arrival.count()) / times_faster));
}

void Load::begin_wave(Time now) {
  if (!beginnings_.empty() && !wave().rate)
    capacity_ = 1e3 * static_cast<double>(wave().requests.size()) /
                static_cast<double>(std::max<int64_t>(1, (now - beginnings_.back()).count()));
  beginnings_.push_back(now);
  const std::optional<double> rate = wave().rate;
  rates_.push_back(rate && wave().of_capacity ? std::optional(*rate * capacity_) : rate);
  last_done_ = now;
  handed_over_ = 0;
}

}  // namespace flux
