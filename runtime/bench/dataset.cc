#include "runtime/bench/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "parallel/rank/errors.h"
#include "runtime/bench/arrivals.h"
#include "runtime/options.pb.h"
#include "runtime/options/convert.h"
#include "runtime/source/input.h"
#include "runtime/source/request_file.h"
#include "runtime/source/trace_reader.h"

namespace flux {
namespace {

constexpr int64_t most_prompts = 1'000'000;
constexpr size_t most_text = size_t{1} << 28;  // bytes of all requests, which stay in memory
constexpr int64_t random_prompts = 100;
constexpr std::array swept = {0.25, 0.5, 0.75, 0.9, 1.0, 1.2};  // of what is drawn where all come at once

/// What the demo model knows, and any other draws.
std::string random_prompt(std::mt19937_64& random) {
  constexpr std::array colours = {"red", "green", "blue", "yellow", "orange", "purple"};
  constexpr std::array shapes = {"circle", "square", "triangle"};
  constexpr std::array backgrounds = {"white", "black", "gray"};
  const auto one = [&](const auto& of) { return of[random() % of.size()]; };
  return fmt::format("a {} {} on a {} background", one(colours), one(shapes), one(backgrounds));
}

using Dataset = std::vector<TraceRequest>;  // without times where it is no trace

Dataset random_dataset(int64_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  Dataset dataset;
  for (int64_t i = 0; i < count; ++i) {
    dataset.push_back({{fmt::format("random prompt {}", i + 1), {}, {}}, {}, {}});
    dataset.back().line.options.set_prompt(random_prompt(random));
  }
  return dataset;
}

/// By time. Throws Invalid where a request has none.
Dataset replayed(Dataset dataset, const ThroughputOptions& options) {
  for (const TraceRequest& request : dataset)
    if (!request.timestamp)
      throw Invalid(request.line.origin + ": has no timestamp; --scenario trace needs one of each request");
  if (options.num_prompts.value_or(0) > static_cast<int64_t>(dataset.size()))
    throw Invalid(fmt::format("--num-prompts: the trace {} has {} requests", options.dataset, dataset.size()));
  std::ranges::stable_sort(dataset, {}, [](const TraceRequest& request) { return *request.timestamp; });
  constexpr double longest = 365.0 * 24 * 3600;
  if (*dataset.back().timestamp - *dataset.front().timestamp > longest)
    throw Invalid(dataset.back().line.origin + ": comes more than a year after the first; timestamps are seconds");
  return dataset;
}

/// As it is in the file, or made.
Dataset dataset_of(const Settings& settings, const ThroughputOptions& options, const Warn& warn) {
  if (options.dataset == "random") return random_dataset(options.num_prompts.value_or(random_prompts), options.seed);
  const auto patience = operation_options(settings).startup_timeout;
  Spool input = read_input(options.dataset, patience, warn, most_text);
  if (is_trace(input.text())) return read_trace(input.text(), options.dataset);
  Dataset dataset;
  const RequestLines lines = read_requests(input.text(), options.dataset, warn);
  for (size_t i = 0; i < lines.size(); ++i) dataset.push_back({lines[i], {}, {}});
  return dataset;
}

std::vector<Request> next_requests(Source& source, int64_t count) {
  std::vector<Request> requests;
  for (int64_t i = 0; i < count; ++i) {
    requests.push_back(source.next().value());
    if (!requests.back().error.empty()) throw Invalid(requests.back().origin + ": " + requests.back().error);
  }
  return requests;
}

/// `number`: of the wave.
Wave measured_wave(std::vector<Request> requests, const Dataset& dataset, const ThroughputOptions& options,
                   size_t number) {
  const size_t count = requests.size();
  Wave wave{std::move(requests), {}, options.max_concurrency};
  const auto come = [&](double rate) {
    return arrivals(static_cast<int64_t>(count), rate, options.burstiness, options.seed + number);
  };
  const bool sweeps = options.scenario == Scenario::sweep;
  if (options.scenario == Scenario::offline || (sweeps && number == 0)) {
    wave.arrivals.resize(count);
  } else if (sweeps) {
    wave.rate = swept[number - 1];
    wave.of_capacity = true;
    wave.arrivals = come(1);
  } else if (options.scenario == Scenario::server) {
    wave.rate = options.request_rates[number];
    wave.arrivals = come(*wave.rate);
  }
  for (size_t i = 0; i < count; ++i) {
    const TraceRequest& asked = dataset[i % dataset.size()];
    if (options.scenario == Scenario::trace)
      wave.arrivals.emplace_back(std::llround(1000 * (*asked.timestamp - *dataset.front().timestamp)));
    wave.slos.push_back(asked.slo_ms ? std::optional(Time(std::llround(*asked.slo_ms))) : options.slo);
  }
  return wave;
}

}  // namespace

ThroughputLoad throughput_load(const Settings& settings, const ModelFolder& model, const ThroughputOptions& options,
                               int64_t replicas, const Warn& warn) {
  Dataset dataset = dataset_of(settings, options, warn);
  if (options.scenario == Scenario::trace) dataset = replayed(std::move(dataset), options);
  const int64_t prompts = options.num_prompts.value_or(static_cast<int64_t>(dataset.size()));
  const auto waves = options.scenario == Scenario::sweep
                         ? static_cast<int64_t>(1 + swept.size())
                         : static_cast<int64_t>(std::max<size_t>(1, options.request_rates.size()));
  const int64_t warmup = options.warmup_requests.value_or(replicas);
  if (prompts * waves + warmup > most_prompts)
    throw Invalid("--num-prompts: over 1,000,000 requests in all; take fewer, or fewer rates");
  RequestLines lines;
  size_t text = 0;
  const auto add = [&](const RequestLine& line) {
    text += line.options.ByteSizeLong();
    if (text > most_text) throw Invalid("--num-prompts: over 256 MiB of text in all; take fewer, or fewer rates");
    lines.add(line);
  };
  for (int64_t wave = 0; wave < waves; ++wave)
    for (int64_t i = 0; i < prompts; ++i) add(dataset[i % dataset.size()].line);
  for (int64_t i = 0; i < warmup; ++i) add(dataset[i % dataset.size()].line);
  const auto source = source_of(std::move(lines), settings, model, warn);
  std::vector<Wave> all;
  for (int64_t wave = 0; wave < waves; ++wave)
    all.push_back(measured_wave(next_requests(*source, prompts), dataset, options, static_cast<size_t>(wave)));
  if (warmup > 0) {
    Wave first{next_requests(*source, warmup)};
    first.arrivals.resize(warmup);
    all.insert(all.begin(), std::move(first));
  }
  return {std::make_unique<Load>(std::move(all), source->workload()), warmup > 0 ? 1U : 0U, warmup};
}

}  // namespace flux
