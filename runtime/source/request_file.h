#pragma once

#include <string>
#include <string_view>

#include "runtime/source/request_lines.h"
#include "runtime/warn.h"

namespace flux {

/// The requests of a file of prompts, or of standard input: JSON where the name says so (.json, .jsonl, .ndjson) or the
/// text does, a trace as trace_reader.h knows them, else a prompt a line. Bad lines come back with an error, empty ones
/// are left out with one warning. `text`: the whole file, as of PlainText. Throws Invalid for what holds no prompts.
RequestLines read_requests(std::string_view text, const std::string& name, const Warn& warn);

}  // namespace flux
