#pragma once

#include <memory>

#include "parallel/inbox.h"

namespace flux {

/// Messages between threads of one process: tensors pass untouched.
class ThreadMailbox : public Mailbox {
 public:
  /// `inboxes`: of all ranks, shared by their mailboxes.
  ThreadMailbox(std::shared_ptr<std::vector<Inbox>> inboxes, int rank) : inboxes_(std::move(inboxes)), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(inboxes_->size()); }
  void send(int to, Parcel parcel) override { inboxes_->at(to).deliver({rank_, std::move(parcel)}); }
  std::optional<Received> receive(std::chrono::milliseconds patience) override {
    return inboxes_->at(rank_).take(patience);
  }

 private:
  std::shared_ptr<std::vector<Inbox>> inboxes_;
  int rank_;
};

}  // namespace flux
