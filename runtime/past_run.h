#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runtime/journal_reader.h"
#include "runtime/options.h"
#include "runtime/source/source.h"

namespace flux {

/// The run that a folder holds, as far as its journal says it came. A last line that was cut off counts for nothing.
class PastRun {
 public:
  /// Throws Invalid where there is no journal of ours, or naming line and byte of what is damaged in it.
  explicit PastRun(std::filesystem::path folder);

  int64_t journal_bytes() const { return journal_bytes_; }  // of whole lines
  std::optional<uint64_t> seed() const { return seed_; }    // of the run
  std::optional<ImageFormat> format() const;                // of its first picture

  /// The file of the k-th picture of a request; empty where it is missing, or its file is. Throws Invalid where another
  /// picture was drawn in its place.
  std::string file_of(const Request& request, int64_t k) const;

  /// Pictures that were begun, and may be there half written or unknown to the journal.
  const std::set<std::string>& unfinished() const { return unfinished_; }

  /// How often ranks failed while they worked on a request, or may have worked on it. A start whose host went down,
  /// that drained or was told to end counts for nothing.
  int failures_of(const std::string& request) const;

  /// What would make other bits of the same request: in words, what it was and what it is. `run`: the `run` line that
  /// goes on.
  std::vector<std::string> changes(const nlohmann::json& run) const;

 private:
  struct Drawn {
    std::string request, file;
    int64_t line = 0, bytes = 0;  // of its journal line
  };

  void take(const JournalLine& line);
  void take_run(const nlohmann::json& json);
  void take_began(const nlohmann::json& json);
  void take_done(const nlohmann::json& json, const JournalLine& line);
  void take_end(const nlohmann::json& json);
  void vanished();
  std::string difference(const Drawn& drawn, const Request& request, int64_t k) const;

  std::filesystem::path folder_;
  int64_t journal_bytes_ = 0;
  nlohmann::json run_;    // the last line of its kind that pictures were drawn under
  nlohmann::json begun_;  // one that none was yet
  nlohmann::json last_;   // the last of all
  std::optional<uint64_t> seed_;
  std::map<int64_t, Drawn> drawn_;  // by the picture's position in the run
  std::set<std::string> unfinished_;
  std::map<std::string, int> under_way_;  // pictures of requests that this start began and has not done
  std::map<std::string, int> failures_;   // of ranks, by request
};

}  // namespace flux
