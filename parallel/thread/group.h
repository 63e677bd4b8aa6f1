#pragma once

#include <map>
#include <memory>

#include "parallel/gate.h"
#include "parallel/thread/meeting.h"
#include "parallel/world.h"

namespace flux {

/// What the communicators of one group of thread ranks share. Everything is guarded by the gate's mutex.
struct ThreadGroup {
  ThreadGroup(std::shared_ptr<Gate> the_gate, std::vector<int> world_ranks)
      : gate(std::move(the_gate)), ranks(std::move(world_ranks)) {}

  const std::shared_ptr<Gate> gate;
  const std::vector<int> ranks;
  int formed = 0;  // ranks that hold a communicator
  std::string aborted;
  std::map<uint64_t, std::shared_ptr<Meeting>> meetings;  // by the number of the call
};

/// Ranks that are threads of one process; CPU tensors or CUDA tensors, on one card or several.
class ThreadCommunicator : public HostGroup {
 public:
  ThreadCommunicator(std::shared_ptr<ThreadGroup> group, int rank, Deadlines deadlines)
      : group_(std::move(group)), rank_(rank), deadlines_(deadlines) {}

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(group_->ranks.size()); }
  Pending all_gather(const at::Tensor& all, at::IntArrayRef rows) override;
  Pending all_to_all(const at::Tensor& received, at::IntArrayRef received_rows, const at::Tensor& sent,
                     at::IntArrayRef sent_rows) override;
  Pending broadcast(const at::Tensor& value, int root) override;
  Pending reduce(const at::Tensor& value) override;
  void abort(std::string_view why) noexcept override;
  std::vector<std::string> exchange(const std::string& mine) override;
  const std::vector<int>& members() const override { return group_->ranks; }
  std::optional<std::string> aborted() const override;

 private:
  Pending meet(const std::string& name, const std::string& call, const Brought& brought, const Meeting::Move& move);
  void carry_out(Meeting& meeting, const Meeting::Move& move);

  std::shared_ptr<ThreadGroup> group_;
  int rank_;
  Deadlines deadlines_;
  uint64_t calls_ = 0;
};

}  // namespace flux
