#pragma once

#include <chrono>

namespace flux {

/// While it lives, SIGTERM and SIGINT are noted instead of ending the process.
class Interruption {
 public:
  Interruption();
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  /// The signal that came, or 0.
  int signal() const;
};

/// Ends the process at once, whatever its threads are doing: a launcher that told it to end gives it two seconds.
[[noreturn]] void leave(int exit_code, std::chrono::milliseconds after);

}  // namespace flux
