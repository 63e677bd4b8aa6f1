#pragma once

#include <c10/core/Event.h>

#include <atomic>
#include <deque>
#include <memory>
#include <set>

#include "parallel/host_group.h"
#include "parallel/mpi/notices.h"
#include "parallel/world.h"

namespace flux {

/// One collective under way: host bytes that this rank sends and receives.
struct Operation {
  struct Piece {
    int peer;  // world rank
    char* data;
    size_t size;
  };

  std::string name;
  std::vector<Piece> sends, receives;
  std::vector<at::Tensor> memory;    // keeps the pieces alive
  std::optional<c10::Event> copied;  // CUDA: the pieces to send are in host memory

  std::vector<Transfer> transfers;  // the engine's own
  std::set<int> unfinished;         // ranks, under the gate's mutex
  bool on_its_way = false;          // under the gate's mutex
  bool done = false;                // under the gate's mutex
};

/// Carries the operations of one group, in the order in which they were submitted.
class OperationQueue : public Activity {
 public:
  OperationQueue(Engine& engine, Notices& notices, std::shared_ptr<Gate> gate, int tag)
      : engine_(engine), notices_(notices), gate_(std::move(gate)), tag_(tag) {}

  /// From any thread.
  void submit(std::shared_ptr<Operation> operation);
  void close();  // nothing is submitted any more

  bool progress() override;
  bool finished() const override { return closed_ && active_.empty(); }

 private:
  bool start(Operation& operation);
  bool advance(Operation& operation);

  Engine& engine_;
  Notices& notices_;
  std::shared_ptr<Gate> gate_;
  int tag_;
  std::vector<std::shared_ptr<Operation>> submitted_;  // under the gate's mutex
  std::deque<std::shared_ptr<Operation>> active_;
  std::atomic<bool> closed_ = false;
};

/// Ranks that are processes; CUDA tensors are staged through pinned host memory.
class MpiCommunicator : public HostGroup {
 public:
  MpiCommunicator(Engine& engine, Notices& notices, std::shared_ptr<Gate> gate, std::vector<int> ranks, int tag,
                  std::chrono::milliseconds deadline);
  ~MpiCommunicator() override { queue_->close(); }

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(ranks_.size()); }
  Pending all_gather(const at::Tensor& all, at::IntArrayRef rows) override;
  Pending broadcast(const at::Tensor& value, int root) override;
  Pending reduce(const at::Tensor& value, Reduction op) override;
  void abort(std::string_view why) noexcept override;
  const std::vector<int>& members() const override { return ranks_; }
  std::optional<std::string> aborted() const override;

 private:
  std::shared_ptr<Operation> gathering(const std::string& name, const at::Tensor& host, at::IntArrayRef rows) const;
  void submit(const std::shared_ptr<Operation>& operation, const at::Tensor& staged_from);
  void wait(const Operation& operation);

  Notices& notices_;
  std::shared_ptr<Gate> gate_;
  std::vector<int> ranks_;  // world ranks
  int rank_;
  int tag_;
  std::chrono::milliseconds deadline_;
  std::shared_ptr<OperationQueue> queue_;
};

}  // namespace flux
