#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/source/request_lines.h"
#include "runtime/warn.h"

namespace flux {

/// One request of a trace: what is asked for, and when.
struct TraceRequest {
  RequestLine line;
  std::optional<double> timestamp;  // seconds, of any beginning
  std::optional<double> slo_ms;     // the latency to be kept
};

/// Whether a file is a trace as vLLM-Omni's benchmark replays: Request(prompt='a cat', width=512, ...), one a line.
bool is_trace(std::string_view text);

/// Its requests; values are those that Python's repr() writes. Fields: request_id (which is not needed), prompt or text
/// (none: an empty one), width, height, num_inference_steps, seed, timestamp, slo_ms; None is a field that is not
/// there. Those of videos and of pictures to begin from are refused. Throws Invalid("NAME:LINE: what is wrong").
std::vector<TraceRequest> read_trace(std::string_view text, const std::string& name);

/// The same requests to be drawn as soon as may be: times are left out, which a warning says. Bad lines come back with
/// an error.
RequestLines read_trace_prompts(std::string_view text, const std::string& name, const Warn& warn);

}  // namespace flux
