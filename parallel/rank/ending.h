#pragma once

#include <functional>
#include <string>

namespace flux {

/// A rank hung or failed, or the disk takes no more.
inline constexpr int kFailed = 3;

/// How a job ends before its work is done.
struct Ending {
  int exit_code = kFailed;
  std::string why;  // said once for the whole job; empty: there is nothing to say
  int about = -1;   // the rank that it names, whose work is said too (Departure::works_on)
};

/// A job that drained: it has drawn what it had begun, and can be gone on with (EX_TEMPFAIL of sysexits.h).
inline constexpr int kDrained = 75;

/// Whether all ranks have come to it together, and leave in order.
inline bool orderly(int exit_code) { return exit_code <= 1 || exit_code == kDrained; }

/// Where the one line of an ending goes.
using Say = std::function<void(const std::string& line)>;

/// The line on standard error.
void to_stderr(const std::string& line);

}  // namespace flux
