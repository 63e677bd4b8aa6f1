#pragma once

#include <memory>

#include "parallel/host_group.h"
#include "parallel/mpi/operation_queue.h"

namespace flux {

/// Ranks that are processes; CUDA tensors are staged through pinned host memory.
class MpiCommunicator : public HostGroup {
 public:
  MpiCommunicator(Engine& engine, Notices& notices, std::shared_ptr<Gate> gate, std::vector<int> ranks, int tag,
                  std::chrono::milliseconds deadline);
  ~MpiCommunicator() override { queue_->close(); }

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(ranks_.size()); }
  Pending all_gather(const at::Tensor& all, at::IntArrayRef rows) override;
  Pending all_to_all(const at::Tensor& received, at::IntArrayRef received_rows, const at::Tensor& sent,
                     at::IntArrayRef sent_rows) override;
  Pending broadcast(const at::Tensor& value, int root) override;
  Pending reduce(const at::Tensor& value) override;
  void abort(std::string_view why) noexcept override;
  std::vector<std::string> exchange(const std::string& mine) override;
  bool was_stopped() const override { return engine_.departure().was_stopped(); }
  const std::vector<int>& members() const override { return ranks_; }
  std::optional<std::string> aborted() const override;

 private:
  /// Of ranks that wait for one alone: in this it names whom it waits for, before they give it up.
  static constexpr std::chrono::milliseconds kItsTurn{2000};

  std::shared_ptr<Operation> gathering(const std::string& name, const at::Tensor& host, at::IntArrayRef rows) const;
  void submit(const std::shared_ptr<Operation>& operation, const at::Tensor& staged_from);
  void wait(const Operation& operation, std::chrono::milliseconds deadline);
  std::vector<int> others() const;
  std::vector<std::string> collect(const std::string& mine);
  std::vector<std::string> contribute(const std::string& mine);

  Engine& engine_;
  Notices& notices_;
  std::shared_ptr<Gate> gate_;
  std::vector<int> ranks_;  // world ranks
  int rank_;
  int tag_;
  std::chrono::milliseconds deadline_;
  std::shared_ptr<OperationQueue> queue_;
};

}  // namespace flux
