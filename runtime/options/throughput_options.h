#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "runtime/options/settings.h"

namespace flux {

/// How requests come: all at once, at random times, each when the one before is done, when a trace says, or all at once
/// and then at random times, at parts of the rate that this showed.
enum class Scenario { offline, server, single_stream, trace, sweep };

/// "offline", "server", "single-stream", "trace", "sweep"
std::string scenario_name(Scenario scenario);

/// What bench throughput is asked for.
struct ThroughputOptions {
  Scenario scenario = Scenario::offline;
  std::string dataset = "random";        // or a file
  std::optional<int64_t> num_prompts{};  // absent: all of the file
  std::vector<double> request_rates{};   // a second; one or more of a server, else none
  double burstiness = 1;                 // shape of the gamma distribution of the times between arrivals
  std::optional<int> max_concurrency{};  // requests
  std::optional<std::chrono::milliseconds> slo{};
  std::optional<int64_t> warmup_requests{};  // absent: one a replica at most
  uint64_t seed = 1;
  std::filesystem::path output_dir{};   // empty: pictures are dropped
  std::filesystem::path output_file{};  // empty: none
  std::filesystem::path report{};       // empty: none
};

/// Throws Invalid for options that contradict each other.
ThroughputOptions throughput_options(const Settings& settings);

/// Of bench compare.
struct ComparedFiles {
  std::filesystem::path baseline, candidate;
};

/// Throws Invalid where one is missing.
ComparedFiles compared_files(const Settings& settings);

}  // namespace flux
