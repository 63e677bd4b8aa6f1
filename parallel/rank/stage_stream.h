#pragma once

#include <ATen/ATen.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace flux {

/// What this thread queues on a card goes to a stream of its own, for as long as the object lives: no stage waits for
/// what another queued, and its work can be recorded (model/replay.h). Nothing on a CPU.
class StageStream {
 public:
  /// brief: goes before what others have queued on the card, for a stage whose work is short beside theirs.
  enum class Turn { ordinary, brief };

  explicit StageStream(at::Device device, Turn turn = Turn::ordinary) {
    if (!device.is_cpu())
      guard_.reset_stream(
          c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device, turn == Turn::brief));
  }

 private:
  c10::OptionalStreamGuard guard_;
};

}  // namespace flux
