#include "parallel/thread/mailbox.h"

#include "parallel/rank/errors.h"

namespace flux {

void ThreadMailbox::send(int to, Parcel parcel) {
  const std::lock_guard lock(office_->gate->mutex);
  office_->arrived.at(to).push_back({rank_, std::move(parcel)});
  office_->gate->changed.notify_all();
}

std::optional<Received> ThreadMailbox::receive(std::chrono::milliseconds patience) {
  std::deque<Received>& mine = office_->arrived[rank_];
  std::unique_lock lock(office_->gate->mutex);
  office_->gate->changed.wait_for(lock, patience, [&] { return !mine.empty() || !office_->gate->aborted.empty(); });
  if (!office_->gate->aborted.empty()) throw Aborted("receive: " + office_->gate->aborted);
  if (mine.empty()) return std::nullopt;
  Received received = std::move(mine.front());
  mine.pop_front();
  return received;
}

}  // namespace flux
