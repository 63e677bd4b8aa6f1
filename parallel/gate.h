#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>

namespace flux {

using Clock = std::chrono::steady_clock;

/// The one lock that the blocked calls of a world wait on, and why the job ended if it did.
struct Gate {
  std::mutex mutex;
  std::condition_variable changed;
  std::string aborted;  // why; empty while the job goes on
};

}  // namespace flux
