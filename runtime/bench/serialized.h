#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "parallel/communicator.h"

namespace flux {

/// A group whose collectives are waited for as soon as they begin: what hiding them behind other work saves is the
/// difference.
class Serialized : public Communicator {
 public:
  explicit Serialized(std::unique_ptr<Communicator> group) : group_(std::move(group)) {}

  int rank() const override { return group_->rank(); }
  int size() const override { return group_->size(); }
  at::Tensor buffer(at::IntArrayRef sizes, at::TensorOptions options) override {
    return group_->buffer(sizes, options);
  }
  Pending all_gather(const at::Tensor& all, at::IntArrayRef rows) override {
    return done(group_->all_gather(all, rows));
  }
  Pending all_to_all(const at::Tensor& received, at::IntArrayRef received_rows, const at::Tensor& sent,
                     at::IntArrayRef sent_rows) override {
    return done(group_->all_to_all(received, received_rows, sent, sent_rows));
  }
  Pending broadcast(const at::Tensor& value, int root) override { return done(group_->broadcast(value, root)); }
  Pending reduce(const at::Tensor& value) override { return done(group_->reduce(value)); }
  std::string carrier(const at::Tensor& all, at::IntArrayRef rows) const override { return group_->carrier(all, rows); }
  bool capturable() const override { return group_->capturable(); }
  void abort(std::string_view why) noexcept override { group_->abort(why); }

 private:
  static Pending done(Pending pending) {
    pending.wait();
    return Pending([] {});
  }

  std::unique_ptr<Communicator> group_;
};

}  // namespace flux
