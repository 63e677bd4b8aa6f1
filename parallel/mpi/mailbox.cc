#include "parallel/mpi/mailbox.h"

#include <fmt/format.h>

#include <stdexcept>

#include "parallel/group.h"
#include "parallel/mpi/envelope.h"
#include "parallel/mpi/tags.h"
#include "parallel/rank/errors.h"

namespace flux {
Outgoing::Outgoing(Engine& engine, int to, Parcel parcel, std::chrono::milliseconds deadline)
    : engine_(engine), to_(to), parcel_(std::move(parcel)), envelope_(sealed(parcel_)), deadline_(deadline) {}

bool Outgoing::progress() {
  bool moved = false;
  if (transfers_.empty()) {
    transfers_.push_back(Transfer::message(engine_.control(), to_, kEnvelopeTag, envelope_));
    for (const at::Tensor& tensor : parcel_.tensors)
      transfers_.push_back(Transfer::sending(engine_.data(), to_, kMessageTag, tensor.data_ptr(), tensor.nbytes()));
    moved = true;
  }
  for (Transfer& transfer : transfers_) moved |= transfer.progress();
  if (moved) moved_ = Clock::now();
  if (Clock::now() - moved_ > deadline_ && !finished() && !engine_.departure().was_stopped())
    throw TimedOut(fmt::format("send: rank {} took nothing for {}", to_, seconds(deadline_)));
  return moved;
}

bool Outgoing::finished() const { return !transfers_.empty() && all_finished(transfers_); }

bool Incoming::progress() {
  bool moved = find();
  for (auto& [from, queue] : messages_) {
    // The tensors of a message are announced by its envelope: later messages wait for the envelopes before them.
    for (Message& message : queue) {
      moved |= advance(from, message);
      if (!message.open) break;
    }
    while (!queue.empty() && queue.front().open && all_finished(queue.front().transfers)) {
      arrivals_->deliver({from, std::move(queue.front().parcel)});
      queue.pop_front();
    }
  }
  return moved;
}

bool Incoming::find() {
  int found = 0;
  MPI_Message handle;
  MPI_Status status;
  check_mpi(MPI_Improbe(MPI_ANY_SOURCE, kEnvelopeTag, engine_.control(), &found, &handle, &status), "MPI_Improbe",
            MPI_ANY_SOURCE);
  if (!found) return false;
  int size = 0;
  check_mpi(MPI_Get_count(&status, MPI_BYTE, &size), "MPI_Get_count", status.MPI_SOURCE);
  Message& message = messages_[status.MPI_SOURCE].emplace_back();
  message.envelope.resize(size);
  message.moved = Clock::now();
  check_mpi(MPI_Imrecv(message.envelope.data(), size, MPI_BYTE, &handle, &message.envelope_request), "MPI_Imrecv",
            status.MPI_SOURCE);
  return true;
}

bool Incoming::advance(int from, Message& message) {
  bool moved = false;
  if (!message.open) {
    int arrived = 0;
    check_mpi(MPI_Test(&message.envelope_request, &arrived, MPI_STATUS_IGNORE), "MPI_Imrecv", from);
    if (arrived) {
      message.parcel = opened(message.envelope);
      for (const at::Tensor& tensor : message.parcel.tensors)
        message.transfers.push_back(
            Transfer::receiving(engine_.data(), from, kMessageTag, tensor.data_ptr(), tensor.nbytes()));
      message.open = moved = true;
    }
  }
  for (Transfer& transfer : message.transfers) moved |= transfer.progress();
  if (moved) message.moved = Clock::now();
  const bool whole = message.open && all_finished(message.transfers);
  if (Clock::now() - message.moved > deadline_ && !whole && !engine_.departure().was_stopped())
    throw TimedOut(fmt::format("receive: rank {} stopped half way through a message for {}", from, seconds(deadline_)));
  return moved;
}

MpiMailbox::MpiMailbox(Engine& engine, std::shared_ptr<Gate> gate, std::chrono::milliseconds deadline)
    : engine_(engine), arrivals_(std::make_shared<Arrivals>(std::move(gate))), deadline_(deadline) {
  engine_.add(std::make_shared<Incoming>(engine_, arrivals_, deadline));
}

void MpiMailbox::send(int to, Parcel parcel) {
  if (to == rank()) return arrivals_->deliver({to, std::move(parcel)});
  if (to < 0 || to >= size()) throw std::out_of_range(fmt::format("send: no rank {} in a world of {}", to, size()));
  for (at::Tensor& tensor : parcel.tensors) {
    if (!tensor.is_cpu()) throw std::invalid_argument(fmt::format("send to rank {}: a tensor is not on the CPU", to));
    tensor = tensor.contiguous();
  }
  const auto outgoing = std::make_shared<Outgoing>(engine_, to, std::move(parcel), deadline_);
  if (outgoing->envelope_size() > kLargestMessage)
    throw std::invalid_argument(fmt::format("send to rank {}: a header of more than 2 GiB", to));
  engine_.add(outgoing);
}

}  // namespace flux
