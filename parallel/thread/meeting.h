#pragma once

#include <c10/core/Event.h>

#include <functional>
#include <memory>
#include <vector>

#include "parallel/host_group.h"

namespace flux {

/// What a rank brings to a collective: one tensor, or two of all_to_all, and their rows by rank.
struct Brought {
  at::Tensor sent, received;
  std::vector<int64_t> sent_rows{}, received_rows{};
};

/// One collective of ranks that are threads. Each rank brings its tensors; the last to arrive moves everything.
class Meeting {
 public:
  using Move = std::function<void(const std::vector<Brought>& by_rank)>;

  /// `call` says what is called and with which sizes; ranks must agree on it.
  Meeting(std::string call, int ranks) : call_(std::move(call)), brought_(ranks) {}

  /// Brings the tensors of `rank`, as they are once ATen's current stream has come this far. True for the last rank.
  bool arrive(int rank, const std::string& call, const Brought& brought);

  /// By the last rank, on its current streams, behind everything the other ranks had queued.
  void carry_out(const Move& move);

  /// Makes the caller's current stream of `device` wait for the move.
  void receive(at::Device device) const;

  const std::string& disagreement() const { return disagreement_; }
  std::vector<int> missing() const;

  bool done = false;  // under the gate's mutex

 private:
  std::string call_;
  std::vector<Brought> brought_;
  std::vector<c10::Event> queued_;  // CUDA: what came before on each rank's stream
  std::vector<c10::Event> moved_;   // CUDA: one for each card
  std::string disagreement_;
};

}  // namespace flux
