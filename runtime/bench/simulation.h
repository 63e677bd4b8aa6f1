#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace flux {

inline constexpr int kMostRanks = 4096;  // that are simulated

/// What a run of bench throughput measured of one picture, seconds, and on what.
struct MeasuredStages {
  double encode = 0, denoise = 0, decode = 0, write = 0;
  double transfer = 0;     // to and from ranks, all of it
  double coordinator = 0;  // that it cost the coordinator's thread
  int ranks = 1;           // of the run
  int ranks_per_replica = 1;
  int encoders = 1;
  double pictures_per_replica = 16;
};

/// Of the last line of a file that bench throughput wrote. Throws Invalid("FILE:LINE: what is wrong").
MeasuredStages read_stages(const std::filesystem::path& result);

/// What so many ranks would come to: the scheduler's own run on virtual time, with stages that take what was measured.
struct SimulatedRun {
  int ranks = 0, encoders = 0, replicas = 0;
  int64_t pictures = 0;
  double images_per_hour = 0;
  double replicas_busy = 0, encoders_busy = 0, coordinator_busy = 0;  // parts of the time; encoders decode too
  std::string limit{};  // what would have to be faster: "replicas", "encoders", "decoding" or "coordinator"
};

/// `ranks`: what is asked for, or else from the measured number on twice as many each time, up to 4096. As many
/// pictures a replica as were measured, of many replicas 16 at most. Where encoders or decoding limit, also with two,
/// four ... times the encoders, as long as that draws more. Throws Invalid where there is no rank left that draws.
std::vector<SimulatedRun> simulate(const MeasuredStages& measured, std::optional<int> ranks);

/// A line each, separated by tabs, with a heading; an array of objects with the fields above.
std::string simulation_table(const std::vector<SimulatedRun>& runs);
std::string simulation_json(const std::vector<SimulatedRun>& runs);

}  // namespace flux
