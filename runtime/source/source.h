#pragma once

#include <cstdint>
#include <functional>
#include <istream>
#include <memory>
#include <optional>
#include <string>

#include "model/request.h"
#include "runtime/options/settings.h"
#include "runtime/placement.h"

namespace flux {

/// One line of what is asked for: a prompt and the pictures to draw of it, or why it cannot be drawn.
struct Request {
  int64_t index = 0;          // position in the run
  std::string origin;         // "prompts.jsonl:3", "--prompt": for messages
  std::string id;             // its identity: 16 hex digits of the SHA-1 of its canonical form (parameters_json)
  Prompt prompt;              // picture.seed is that of its first picture; the k-th has seed + k
  int64_t pictures = 1;       // of this prompt: encoded once, drawn for each seed
  int64_t first_picture = 0;  // position in the run of its first picture, which names its file
  std::string error;          // not empty: bad input (without its origin); counts as one picture that failed
};

/// Where requests come from: one prompt, a file, standard input.
class Source {
 public:
  virtual ~Source() = default;
  virtual std::optional<Request> next() = 0;  // nothing at the end
  virtual int64_t pictures() const = 0;       // that all requests ask for, bad ones counted as one
  virtual const Demand& largest() const = 0;  // fixes the cut
};

}  // namespace flux
