#pragma once

#include <functional>
#include <string>

namespace flux {

/// How a job ends before its work is done.
struct Ending {
  int exit_code = 3;
  std::string why;  // said once for the whole job; empty: there is nothing to say
};

/// Where the one line of an ending goes.
using Say = std::function<void(const std::string& line)>;

/// The line on standard error.
void to_stderr(const std::string& line);

}  // namespace flux
