#pragma once

#include <optional>
#include <string>
#include <vector>

#include "parallel/communicator.h"

namespace flux {

/// A communicator that travels through the host, and so can say at any moment whether somebody called abort().
class HostGroup : public Communicator {
 public:
  at::Tensor buffer(at::IntArrayRef sizes, at::TensorOptions options) override { return at::empty(sizes, options); }

  /// World ranks, by position.
  virtual const std::vector<int>& members() const = 0;

  /// Collective: everybody's string, by position.
  virtual std::vector<std::string> exchange(const std::string& mine) = 0;

  /// This process was stopped until just now: what it missed is not other ranks' fault.
  virtual bool was_stopped() const { return false; }

  /// From any thread: why the group was aborted.
  virtual std::optional<std::string> aborted() const = 0;
};

}  // namespace flux
