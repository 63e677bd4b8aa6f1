#pragma once

#include <string>

#include "runtime/options.pb.h"

namespace flux {

/// One line of a file of prompts, or one object.
struct RequestLine {
  static constexpr size_t longest = 1 << 20;  // bytes

  std::string origin;      // FILE:LINE
  proto::Options options;  // what the line says itself
  std::string error;       // not empty: what is wrong with the line, without its origin
};

}  // namespace flux
