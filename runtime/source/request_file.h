#pragma once

#include <string>
#include <vector>

#include "runtime/source/picture_size.h"
#include "runtime/source/request_line.h"

namespace flux {

/// The requests of a file of prompts, or of standard input: JSON where the name says so (.json, .jsonl, .ndjson) or the
/// text does, else a prompt a line. Bad lines come back with an error, empty ones are left out with one warning.
/// `bytes`: the whole file. Throws Invalid for what holds no prompts.
std::vector<RequestLine> read_requests(std::string bytes, const std::string& name, const Warn& warn);

}  // namespace flux
