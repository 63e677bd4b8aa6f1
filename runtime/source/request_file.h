#pragma once

#include <istream>
#include <string>
#include <vector>

#include "runtime/options.pb.h"

namespace flux {

/// One line of a file of prompts.
struct Request {
  std::string origin;      // FILE:LINE
  proto::Options options;  // what the line says itself
  std::string error;       // not empty: what is wrong with the line, without its origin
};

/// .txt: a prompt a line. .jsonl: an object a line. Other names (standard input, a pipe) are .jsonl if their first line
/// begins with {. Bad lines come back with an error; throws Invalid for a stream without lines.
std::vector<Request> read_requests(std::istream& stream, const std::string& name);

}  // namespace flux
