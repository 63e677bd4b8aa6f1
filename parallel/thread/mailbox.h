#pragma once

#include <memory>

#include "parallel/arrivals.h"

namespace flux {

/// Messages between threads of one process: tensors pass untouched.
class ThreadMailbox : public Mailbox {
 public:
  /// `arrivals`: of all ranks, shared by their mailboxes.
  ThreadMailbox(std::shared_ptr<std::vector<Arrivals>> arrivals, int rank)
      : arrivals_(std::move(arrivals)), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(arrivals_->size()); }
  void send(int to, Parcel parcel) override { arrivals_->at(to).deliver({rank_, std::move(parcel)}); }
  std::optional<Received> receive(std::chrono::milliseconds patience) override {
    return arrivals_->at(rank_).take(patience);
  }

 private:
  std::shared_ptr<std::vector<Arrivals>> arrivals_;
  int rank_;
};

}  // namespace flux
