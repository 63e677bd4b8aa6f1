#include "runtime/bench/comparison.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <functional>
#include <random>

#include "parallel/rank/errors.h"
#include "runtime/bench/throughput_result.h"

namespace flux {
namespace {

using Statistic = std::function<double(const std::vector<double>&)>;

/// As many as take a moment.
size_t draws(size_t values) { return std::clamp<size_t>(20'000'000 / values, 200, 2'000); }

Ratio ratio_of(const std::string& metric, const std::vector<double>& baseline, const std::vector<double>& candidate,
               const Statistic& statistic) {
  std::mt19937_64 random(baseline.size());
  const auto drawn_anew = [&](const std::vector<double>& values) {
    std::vector<double> drawn;
    drawn.reserve(values.size());
    while (drawn.size() < values.size()) drawn.push_back(values[random() % values.size()]);
    return statistic(drawn);
  };
  std::vector<double> ratios;
  for (size_t left = draws(baseline.size() + candidate.size()); left > 0; --left)
    ratios.push_back(drawn_anew(candidate) / drawn_anew(baseline));
  const double one = statistic(baseline), other = statistic(candidate);
  return {metric, one, other, other / one, percentile(ratios, 0.025), percentile(ratios, 0.975)};
}

ComparedLoad compared(const LoadResults& baseline, const LoadResults& candidate) {
  const auto at = [](double part) { return [part](const auto& values) { return percentile(values, part); }; };
  const auto rate = [](const auto& gaps) { return 1 / mean(gaps); };
  return {baseline.load,
          {ratio_of("latency_median", baseline.latencies, candidate.latencies, at(0.5)),
           ratio_of("latency_p99", baseline.latencies, candidate.latencies, at(0.99)),
           ratio_of("throughput_qps", baseline.gaps, candidate.gaps, rate)}};
}

}  // namespace

std::vector<ComparedLoad> compare(const std::vector<LoadResults>& baseline, const std::vector<LoadResults>& candidate,
                                  const Warn& warn) {
  std::vector<ComparedLoad> result;
  const auto without_match = [&](const LoadResults& one, const std::vector<LoadResults>& others) {
    return std::ranges::find(others, one.load, &LoadResults::load) == others.end();
  };
  for (const LoadResults& one : baseline) {
    const auto other = std::ranges::find(candidate, one.load, &LoadResults::load);
    if (other != candidate.end()) result.push_back(compared(one, *other));
  }
  if (result.empty())
    throw Invalid(
        fmt::format("the two files hold no results of the same load: \"{}\" is one of the first, \"{}\" of the "
                    "second",
                    baseline.front().load, candidate.front().load));
  for (const LoadResults& one : baseline)
    if (without_match(one, candidate)) warn("only in the first file, and not compared: " + one.load);
  for (const LoadResults& one : candidate)
    if (without_match(one, baseline)) warn("only in the second file, and not compared: " + one.load);
  return result;
}

std::string comparison_table(const std::vector<ComparedLoad>& compared) {
  std::string text = "load\tmetric\tbaseline\tcandidate\tratio\tlow\thigh\n";
  for (const ComparedLoad& load : compared)
    for (const Ratio& ratio : load.ratios)
      text += fmt::format("{}\t{}\t{:.4g}\t{:.4g}\t{:.4g}\t{:.4g}\t{:.4g}\n", load.load, ratio.metric, ratio.baseline,
                          ratio.candidate, ratio.ratio, ratio.low, ratio.high);
  return text;
}

std::string comparison_json(const std::vector<ComparedLoad>& compared) {
  auto json = nlohmann::ordered_json::array();
  for (const ComparedLoad& load : compared)
    for (const Ratio& ratio : load.ratios)
      json.push_back({{"load", load.load},
                      {"metric", ratio.metric},
                      {"baseline", ratio.baseline},
                      {"candidate", ratio.candidate},
                      {"ratio", ratio.ratio},
                      {"low", ratio.low},
                      {"high", ratio.high}});
  return json.dump(2) + "\n";
}

}  // namespace flux
