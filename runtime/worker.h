#pragma once

#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/weights.h"
#include "parallel/rank/stage_stream.h"
#include "parallel/world.h"
#include "runtime/device_memory.h"
#include "runtime/heartbeat.h"
#include "runtime/inbox.h"
#include "runtime/messages.h"
#include "runtime/placement.h"

namespace flux {

/// The stages of one rank, each on a thread of its own: encoding, decoding, denoising, as its place says. Everything
/// that happens is reported to the coordinator.
class Worker {
 public:
  /// Begins to load; Ready is reported when all stages have. `world` and `placement` outlive the worker.
  Worker(Checkpoint checkpoint, const Placement& placement, World& world);

  /// Lets the stages finish what they are doing, and nothing that waits. A stage may hang: whoever ends a process early
  /// has told its Departure before.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Encode, Denoise or Decode. Others are none of a worker's business.
  void put(Order order);

 private:
  const RankPlace& place() const { return placement_.ranks[world_.rank()]; }
  Placing placing(Format store = Format::dense) const { return {place().device, placement_.dtype, store}; }

  void start(const char* stage, void (Worker::*body)(), StageStream::Turn turn);
  void finish();
  void loaded();
  void encode();
  void decode();
  void denoise();
  void report(const Report& report) noexcept;

  const Checkpoint checkpoint_;
  const Placement& placement_;
  World& world_;
  Inbox<Encode> to_encode_;
  Inbox<Decode> to_decode_;
  Inbox<Denoise> to_denoise_;
  std::atomic<int> loading_ = -1;  // stages; -1: not begun
  Heartbeat heartbeat_;
  std::optional<DeviceMemory> memory_;  // from when everything is loaded
  std::vector<std::thread> threads_;
};

}  // namespace flux
