#include "runtime/bench/device_trace.h"

#include <nlohmann/json.hpp>
#include <torch/csrc/autograd/profiler_kineto.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <set>

namespace flux {
namespace {

namespace profiler = torch::autograd::profiler;
using torch::profiler::impl::ActivityType;

struct Interval {
  double begin, end;
};

/// In a step nothing else goes to the host or comes from there.
bool travels(const std::string& name) {
  return std::ranges::any_of(std::array{"nccl", "Memcpy PtoP", "Pinned"},
                             [&](const char* part) { return name.find(part) != std::string::npos; });
}

/// Sorted, and apart from each other.
std::vector<Interval> united(std::vector<Interval> spans) {
  std::ranges::sort(spans, {}, &Interval::begin);
  std::vector<Interval> apart;
  for (const Interval& span : spans) {
    if (!apart.empty() && span.begin <= apart.back().end)
      apart.back().end = std::max(apart.back().end, span.end);
    else
      apart.push_back(span);
  }
  return apart;
}

double length(const std::vector<Interval>& spans) {
  double sum = 0;
  for (const Interval& span : spans) sum += span.end - span.begin;
  return sum;
}

}  // namespace

void silence_profiler() { ::setenv("KINETO_LOG_LEVEL", "99", /*overwrite=*/0); }

DeviceTrace::DeviceTrace(at::Device device) : device_(device) {
  const torch::profiler::impl::ProfilerConfig config(torch::profiler::impl::ProfilerState::KINETO);
  const std::set<ActivityType> activities = {device.is_cpu() ? ActivityType::CPU : ActivityType::CUDA};
  profiler::prepareProfiler(config, activities);
  profiler::enableProfiler(config, activities, {at::RecordScope::FUNCTION});
}

DeviceTrace::~DeviceTrace() {
  if (recording_) profiler::disableProfiler();
}

std::vector<TraceEvent> DeviceTrace::stop() {
  recording_ = false;
  const auto recorded = profiler::disableProfiler();
  std::vector<TraceEvent> events;
  for (const auto& event : recorded->events()) {
    if (event.deviceType() != device_.type() || event.durationNs() == 0) continue;
    const auto lane = device_.is_cpu() ? static_cast<int64_t>(event.startThreadId()) : event.deviceResourceId();
    events.push_back({event.name(), lane, static_cast<double>(event.startNs()) * 1e-3,
                      static_cast<double>(event.durationNs()) * 1e-3});
  }
  return events;
}

Gathering gathering(const std::vector<TraceEvent>& events) {
  std::vector<Interval> gathers, others;
  for (const TraceEvent& event : events)
    (travels(event.name) ? gathers : others).push_back({event.begin, event.begin + event.length});
  gathers = united(std::move(gathers));
  others = united(std::move(others));
  std::vector<Interval> all = gathers;
  all.insert(all.end(), others.begin(), others.end());
  return {length(gathers), length(united(std::move(all))) - length(others)};
}

std::string chrome_trace(const std::vector<RankTrace>& ranks) {
  nlohmann::json events = nlohmann::json::array();
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    const auto& [name, of_rank] = ranks[rank];
    events.push_back({{"ph", "M"}, {"name", "process_name"}, {"pid", rank}, {"args", {{"name", name}}}});
    events.push_back({{"ph", "M"}, {"name", "process_sort_index"}, {"pid", rank}, {"args", {{"sort_index", rank}}}});
    for (const TraceEvent& event : of_rank)
      events.push_back({{"ph", "X"},
                        {"name", (travels(event.name) ? "gather: " : "") + event.name},
                        {"pid", rank},
                        {"tid", event.lane},
                        {"ts", event.begin},
                        {"dur", event.length}});
  }
  return nlohmann::json{{"traceEvents", std::move(events)}, {"displayTimeUnit", "ms"}}.dump();
}

}  // namespace flux
