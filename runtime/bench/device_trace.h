#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace flux {

/// Something that a device did. Microseconds, the same clock on all ranks of a host.
struct TraceEvent {
  std::string name;
  int64_t lane = 0;  // a stream of a card, a thread of a CPU
  double begin = 0, length = 0;
};

/// libtorch's profiler calls it an error that a machine has no card. Before other threads read the environment.
void silence_profiler();

/// What a device does for as long as the object lives: kernels and copies of a card, by CUPTI, or operators of ATen.
class DeviceTrace {
 public:
  explicit DeviceTrace(at::Device device);
  ~DeviceTrace();
  DeviceTrace(const DeviceTrace&) = delete;
  DeviceTrace& operator=(const DeviceTrace&) = delete;

  /// Ends it. What was queued must be done.
  std::vector<TraceEvent> stop();

 private:
  at::Device device_;
  bool recording_ = true;
};

/// How long something travelled between ranks, and how long nothing else was done then: NCCL's kernels, and copies from
/// card to card or through pinned memory of the host.
struct Gathering {
  double total = 0, exposed = 0;  // microseconds
};
Gathering gathering(const std::vector<TraceEvent>& events);

/// A rank's events and what to call it.
using RankTrace = std::pair<std::string, std::vector<TraceEvent>>;

/// In Chrome's trace format, which Perfetto reads too: a process a rank, a thread a lane; what travels between ranks is
/// a "gather: ...".
std::string chrome_trace(const std::vector<RankTrace>& ranks);

}  // namespace flux
