#pragma once

#include <ATen/ATen.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <optional>
#include <utility>

namespace flux {

/// A stream of a card beside a thread's own; none elsewhere.
inline std::optional<c10::Stream> stream_beside(at::Device device) {
  if (!device.is_cuda()) return std::nullopt;
  return c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device, /*isHighPriority=*/false);
}

/// Small work beside large work that it has nothing to do with: alone it would leave most of a card idle. Can be
/// recorded with the stream that it is beside.
class SideStream {
 public:
  /// Without a stream work is done at once.
  explicit SideStream(std::optional<c10::Stream> stream) : stream_(stream) {
    if (stream_) changes_.emplace(stream_->device_type());
  }

  /// What `work` queues comes after everything that the current stream has been given; until join() it may run beside
  /// what that is given next.
  template <typename Work>
  void run(const Work& work) {
    if (!stream_) return work();
    change(current(), *stream_);
    apart_ = true;
    const c10::StreamGuard guard(*stream_);
    work();
  }

  /// What the current stream is given from here on comes after what ran beside it.
  void join() {
    if (std::exchange(apart_, false)) change(*stream_, current());
  }

 private:
  c10::Stream current() const {
    return c10::impl::VirtualGuardImpl(stream_->device_type()).getStream(stream_->device());
  }

  void change(const c10::Stream& from, const c10::Stream& to) {
    changes_->record(from);
    changes_->block(to);
  }

  std::optional<c10::Stream> stream_;
  std::optional<c10::Event> changes_;
  bool apart_ = false;
};

}  // namespace flux
