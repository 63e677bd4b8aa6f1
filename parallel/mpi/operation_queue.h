#pragma once

#include <c10/core/Event.h>

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "parallel/mpi/notices.h"

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

}  // namespace flux
