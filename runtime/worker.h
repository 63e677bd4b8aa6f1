#pragma once

#include <atomic>
#include <thread>
#include <vector>

#include "model/encoder.h"
#include "parallel/rank/departure.h"
#include "parallel/world.h"
#include "runtime/inbox.h"
#include "runtime/messages.h"
#include "runtime/placement.h"

namespace flux {

/// The stages of one rank, each on a thread of its own: encode and decode on the encoder rank, denoise on the ranks of
/// replicas. Everything that happens is a message to the coordinator.
class Worker {
 public:
  /// Begins to load; Ready is reported when all stages have. `world` outlives the worker.
  Worker(Checkpoint checkpoint, Placement placement, World& world);

  /// Finishes what the stages are doing.
  ~Worker();

  /// Encode, Denoise or Decode. Others are none of a worker's business.
  void put(Message message);

 private:
  const RankPlace& place() const { return placement_.ranks[world_.rank()]; }
  Placing placing() const { return {place().device, placement_.dtype}; }

  void start(const char* stage, void (Worker::*body)());
  void loaded();
  void encode();
  void decode();
  void denoise();
  void report(const Message& message) noexcept;

  const Checkpoint checkpoint_;
  const Placement placement_;
  World& world_;
  Inbox<Encode> to_encode_;
  Inbox<Decode> to_decode_;
  Inbox<Denoise> to_denoise_;
  std::atomic<int> loading_;  // stages
  std::vector<std::thread> threads_;
};

/// The loop of a rank without the coordinator: passes messages to its worker until it is told to stop. Returns the
/// exit code that the coordinator sent. Throws Aborted; TimedOut when the coordinator is silent for too long.
int work(const Checkpoint& checkpoint, const Placement& placement, World& world, const OperationOptions& operation,
         Departure& departure);

}  // namespace flux
