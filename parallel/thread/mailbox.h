#pragma once

#include <deque>
#include <memory>

#include "parallel/gate.h"
#include "parallel/mailbox.h"

namespace flux {

/// Where messages of one process wait for their receivers, by world rank. Guarded by the gate's mutex.
struct PostOffice {
  PostOffice(std::shared_ptr<Gate> the_gate, int ranks) : gate(std::move(the_gate)), arrived(ranks) {}

  const std::shared_ptr<Gate> gate;
  std::vector<std::deque<Received>> arrived;
};

/// Messages between threads of one process: tensors pass untouched.
class ThreadMailbox : public Mailbox {
 public:
  ThreadMailbox(std::shared_ptr<PostOffice> office, int rank) : office_(std::move(office)), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(office_->arrived.size()); }
  void send(int to, Parcel parcel) override;
  std::optional<Received> receive(std::chrono::milliseconds patience) override;

 private:
  std::shared_ptr<PostOffice> office_;
  int rank_;
};

}  // namespace flux
