#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "runtime/options.h"
#include "runtime/placement.h"

namespace flux {

/// What holds for all pictures of a run.
struct RunFacts {
  std::string model;  // its folder
  Placement placement;
};

/// How long a picture's stages took, seconds.
struct StageSeconds {
  double encode = 0, denoise = 0, decode = 0;
};

/// What became of a job: a file, or an error.
struct Record {
  Job job;
  std::string file;   // in the output folder; empty: failed
  std::string error;  // why it failed
  int replica = -1;   // which drew it
  StageSeconds seconds;
  std::vector<std::string> warnings;

  bool drawn() const { return error.empty(); }
};

/// The journal's line: JSON without a line end.
std::string journal_line(const Record& record, const RunFacts& facts);

/// What --json prints: the journal's line with the picture's path.
std::string result_line(const Record& record, const RunFacts& facts, const std::filesystem::path& folder);

/// The picture's parameters under the names of diffusers' FluxPipeline, as JSON.
std::string parameters_json(const Job& job, const RunFacts& facts);

/// The same as the text that picture tools read from the key `parameters`.
std::string parameters_text(const Job& job, const RunFacts& facts);

}  // namespace flux
