#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/request.h"
#include "runtime/placement.h"
#include "runtime/source/source.h"

namespace flux {

/// What holds for all pictures of a run.
struct RunFacts {
  std::string model;     // as the user would call it
  std::string identity;  // of its files
  Placement placement;
  uint64_t seed = 0;  // of the run
};

/// How long a picture's stages took, seconds.
struct StageSeconds {
  double encode = 0, denoise = 0, decode = 0;
};

/// One picture and what became of it: a file, or an error.
struct Record {
  int64_t picture = 0;  // position in the run
  std::string request;  // identity
  std::string origin;
  std::optional<Prompt> prompt;  // with this picture's seed; bad input has none
  std::string file;              // in the output folder; of one that failed: none
  std::string error;             // why it failed
  int replica = -1;              // which drew it
  StageSeconds seconds;
  std::vector<std::string> warnings;

  bool drawn() const { return error.empty(); }
};

/// The k-th picture of a request, of which nothing is known but what a run before made of it.
Record record_of(const Request& request, int64_t k);

/// What --json prints, and a `done` line of the journal holds: JSON without a line end.
std::string record_json(const Record& record, const RunFacts& facts);

/// What a picture's file holds under the key `flux-dist`: its parameters, model, formats and program, as JSON.
std::string parameters_json(const Prompt& prompt, const RunFacts& facts);

/// The same as the text that picture tools read from the key `parameters`.
std::string parameters_text(const Prompt& prompt, const RunFacts& facts);

}  // namespace flux
