#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "runtime/source/picture_size.h"

namespace flux {

/// What a file of results says of one load; of several runs under the same load, of all of them.
struct LoadResults {
  std::string load;               // what was asked for, for people too
  std::vector<double> latencies;  // seconds, of completed requests
  std::vector<double> gaps;       // seconds between completions, the first since the first arrival
};

/// The lines that bench throughput appended to a file. Throws Invalid("FILE:LINE: what is wrong").
std::vector<LoadResults> read_results(const std::filesystem::path& file);

/// candidate / baseline, and the interval in which it lies with 95 % confidence: 2.5 and 97.5 % of what comes out where
/// requests are drawn anew, with replacement, from those that were measured (percentile bootstrap). Throughput is drawn
/// from the gaps between completions. The draws are the same at every call.
struct Ratio {
  std::string metric;  // as in the results
  double baseline = 0, candidate = 0;
  double ratio = 0, low = 0, high = 0;
};
struct ComparedLoad {
  std::string load;
  std::vector<Ratio> ratios;  // latency_median, latency_p99, throughput_qps
};

/// Each load that both hold; of others it is said that they are not compared. Throws Invalid where there is none.
std::vector<ComparedLoad> compare(const std::vector<LoadResults>& baseline, const std::vector<LoadResults>& candidate,
                                  const Warn& warn);

/// A line each, separated by tabs, with a heading.
std::string comparison_table(const std::vector<ComparedLoad>& compared);

/// An array of objects with the fields above.
std::string comparison_json(const std::vector<ComparedLoad>& compared);

}  // namespace flux
