#include "parallel/thread/meeting.h"

#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace flux {
namespace {

c10::Stream current_stream(at::Device device) { return c10::impl::VirtualGuardImpl(device.type()).getStream(device); }

c10::Event recorded(const c10::Stream& stream) {
  c10::Event event(stream.device_type());
  event.record(stream);
  return event;
}

}  // namespace

bool Meeting::arrive(int rank, const std::string& call, const Brought& brought) {
  if (call != call_) disagreement_ = fmt::format("rank {} calls {}, others {}", rank, call, call_);
  if (!brought.sent.is_cpu()) queued_.push_back(recorded(current_stream(brought.sent.device())));
  brought_[rank] = brought;
  return missing().empty();
}

void Meeting::carry_out(const Move& move) {
  const c10::InferenceMode inference;  // the tensors of other ranks may be inference tensors
  std::vector<c10::Stream> streams;
  for (const Brought& one : brought_) {
    if (one.sent.is_cpu()) continue;
    const c10::Stream stream = current_stream(one.sent.device());
    if (std::find(streams.begin(), streams.end(), stream) == streams.end()) streams.push_back(stream);
  }
  for (const c10::Stream& stream : streams)
    for (const c10::Event& event : queued_) event.block(stream);
  move(brought_);
  for (const c10::Stream& stream : streams) moved_.push_back(recorded(stream));
}

void Meeting::receive(at::Device device) const {
  for (const c10::Event& event : moved_) event.block(current_stream(device));
}

std::vector<int> Meeting::missing() const {
  std::vector<int> ranks;
  for (size_t rank = 0; rank < brought_.size(); ++rank)
    if (!brought_[rank].sent.defined()) ranks.push_back(static_cast<int>(rank));
  return ranks;
}

}  // namespace flux
