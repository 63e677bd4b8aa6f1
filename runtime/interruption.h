#pragma once

#include <csignal>

namespace flux {

/// While it lives, SIGTERM and SIGINT are noted instead of ending the process. One at a time.
class Interruption {
 public:
  Interruption();
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  /// The signal that came, or 0.
  int signal() const;

 private:
  struct sigaction before_term_, before_int_;
};

}  // namespace flux
