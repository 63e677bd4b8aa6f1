#pragma once

#include <chrono>
#include <cstdint>
#include <istream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/request.h"
#include "runtime/options/settings.h"
#include "runtime/placement.h"
#include "runtime/source/picture_size.h"

namespace flux {

/// One line of what is asked for: a prompt and the pictures to draw of it, or why it cannot be drawn.
struct Request {
  int64_t index = 0;          // position in the run
  std::string origin;         // "prompts.jsonl:3", "--prompt": for messages
  std::string id;             // identity_of() its prompt; empty where there is an error
  Prompt prompt;              // picture.seed is that of its first picture; the k-th has seed + k
  int64_t pictures = 1;       // of this prompt: encoded once, drawn for each seed
  int64_t first_picture = 0;  // position in the run of its first picture, which names its file
  double cost = 0;            // flop of denoising one of them
  std::string error;          // not empty: bad input (without its origin); counts as one picture that failed
  std::map<int64_t, std::string> files{};  // of its k-th pictures that the run to be resumed has drawn
  bool suspect = false;  // a rank failed while it worked on it, or may have: to be drawn last and alone
};

class PastRun;
class RequestLines;

/// Where requests come from.
class Source {
 public:
  virtual ~Source() = default;

  /// Nothing at the end.
  virtual std::optional<Request> next() = 0;

  /// When next() may be called, on the coordinator's clock. Nothing: not before something else has happened in the run.
  virtual std::optional<std::chrono::milliseconds> due() const { return std::chrono::milliseconds(0); }

  /// That all requests ask for, bad ones counted as one.
  virtual int64_t pictures() const = 0;

  /// Of these, drawn by the run to be resumed.
  virtual int64_t pictures_there() const { return 0; }

  /// Of what is to be drawn and can be.
  virtual Workload workload() const = 0;
};

/// --prompt, or --prompts (a file, or standard input) read to its end and checked before anything is drawn. A bad line
/// is a request with an error; throws Invalid for what concerns the whole run. Settings hold the model's defaults.
/// `past`: the run to be resumed, or null. A request of which ranks failed twice is one with an error, unless
/// `--retry-poisoned`. What cannot be drawn comes first, then what takes longest: then no replica is left alone with a
/// long one at the end. Memory holds some 40 bytes of each request that waits.
std::unique_ptr<Source> open_source(const Settings& settings, const ModelFolder& model, std::istream& standard_input,
                                    const Warn& warn, const PastRun* past = nullptr);

/// The same of lines that are there already: those of a file, or made. In their order.
std::unique_ptr<Source> source_of(RequestLines lines, const Settings& settings, const ModelFolder& model,
                                  const Warn& warn);

}  // namespace flux
