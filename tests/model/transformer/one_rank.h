#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <vector>

#include "parallel/world.h"

namespace flux {

/// A sequence of one rank, for tests of what one rank computes.
class OneRank {
 public:
  explicit OneRank(at::Device device = at::kCPU) : group_(worlds_.front()->group({0}, Transport::thread, device)) {}
  Communicator& operator*() const { return *group_; }

 private:
  std::vector<std::unique_ptr<World>> worlds_ = thread_worlds(1, {});
  std::unique_ptr<Communicator> group_;
};

}  // namespace flux
