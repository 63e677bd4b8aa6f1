#pragma once

#include <c10/core/Event.h>

#include <functional>
#include <memory>
#include <vector>

#include "parallel/host_group.h"

namespace flux {

/// One collective of ranks that are threads. Each rank brings its tensor; the last to arrive moves everything.
class Meeting {
 public:
  using Move = std::function<void(const std::vector<at::Tensor>& by_rank)>;

  /// `call` says what is called and with which sizes; ranks must agree on it.
  Meeting(std::string call, int ranks) : call_(std::move(call)), values_(ranks) {}

  /// Brings the tensor of `rank`, as it is once ATen's current stream has come this far. True for the last rank.
  bool arrive(int rank, const std::string& call, const at::Tensor& value);

  /// By the last rank, on its current streams, behind everything the other ranks had queued.
  void carry_out(const Move& move);

  /// Makes the caller's current stream wait for the move of `value`.
  void receive(const at::Tensor& value) const;

  const std::string& disagreement() const { return disagreement_; }
  std::vector<int> missing() const;

  bool done = false;  // under the gate's mutex

 private:
  std::string call_;
  std::vector<at::Tensor> values_;
  std::vector<c10::Event> queued_;  // CUDA: what came before on each rank's stream
  std::vector<c10::Event> moved_;   // CUDA: one for each card
  std::string disagreement_;
};

}  // namespace flux
