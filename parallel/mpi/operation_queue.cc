#include "parallel/mpi/operation_queue.h"

#include <algorithm>

namespace flux {

void OperationQueue::submit(std::shared_ptr<Operation> operation) {
  for (const auto* pieces : {&operation->sends, &operation->receives})
    for (const Operation::Piece& piece : *pieces) operation->unfinished.insert(piece.peer);
  const std::lock_guard lock(gate_->mutex);
  submitted_.push_back(std::move(operation));
  engine_.wake();
}

void OperationQueue::close() {
  closed_ = true;
  engine_.wake();
}

bool OperationQueue::progress() {
  {
    const std::lock_guard lock(gate_->mutex);
    std::move(submitted_.begin(), submitted_.end(), std::back_inserter(active_));
    submitted_.clear();
    if (!notices_.why(tag_).empty()) return false;  // what MPI has begun with stays where it is
  }
  // MPI matches the messages of two ranks in the order posted, so an operation that cannot start holds up the next.
  bool moved = false;
  for (const std::shared_ptr<Operation>& operation : active_) {
    if (operation->transfers.empty() && !start(*operation)) break;
    moved |= advance(*operation);
  }
  std::erase_if(active_, [](const auto& operation) { return operation->unfinished.empty(); });
  return moved;
}

bool OperationQueue::start(Operation& operation) {
  if (operation.copied && !operation.copied->query()) return false;
  for (const Operation::Piece& piece : operation.receives)
    operation.transfers.push_back(Transfer::receiving(engine_.data(), piece.peer, tag_, piece.data, piece.size));
  for (const Operation::Piece& piece : operation.sends)
    operation.transfers.push_back(Transfer::sending(engine_.data(), piece.peer, tag_, piece.data, piece.size));
  const std::lock_guard lock(gate_->mutex);
  operation.on_its_way = true;
  return true;
}

bool OperationQueue::advance(Operation& operation) {
  bool moved = false;
  for (Transfer& transfer : operation.transfers) moved |= transfer.progress();
  if (!moved) return false;
  std::set<int> unfinished;
  for (const Transfer& transfer : operation.transfers)
    if (!transfer.finished()) unfinished.insert(transfer.peer());
  const std::lock_guard lock(gate_->mutex);
  operation.unfinished = std::move(unfinished);
  operation.done = operation.unfinished.empty();
  if (operation.done) gate_->changed.notify_all();
  return true;
}

}  // namespace flux
