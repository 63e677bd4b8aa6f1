#pragma once

#include <deque>
#include <map>
#include <memory>

#include "parallel/arrivals.h"
#include "parallel/mpi/engine.h"
#include "parallel/mpi/transfer.h"

namespace flux {

/// A message on its way to another rank. Throws TimedOut when the other rank stops taking it.
class Outgoing : public Activity {
 public:
  Outgoing(Engine& engine, int to, Parcel parcel, std::chrono::milliseconds deadline);
  bool progress() override;
  bool finished() const override;
  size_t envelope_size() const { return envelope_.size(); }

 private:
  Engine& engine_;
  int to_;
  Parcel parcel_;
  std::string envelope_;
  std::chrono::milliseconds deadline_;
  std::vector<Transfer> transfers_;
  Clock::time_point moved_;
};

/// All messages on their way to this rank. Throws TimedOut when one stops half way.
class Incoming : public Activity {
 public:
  Incoming(Engine& engine, std::shared_ptr<Arrivals> arrivals, std::chrono::milliseconds deadline)
      : engine_(engine), arrivals_(std::move(arrivals)), deadline_(deadline) {}
  bool progress() override;
  bool finished() const override { return false; }

 private:
  struct Message {
    std::string envelope;
    MPI_Request envelope_request = MPI_REQUEST_NULL;
    bool open = false;
    Parcel parcel;
    std::vector<Transfer> transfers;
    Clock::time_point moved;
  };

  bool find();
  bool advance(int from, Message& message);

  Engine& engine_;
  std::shared_ptr<Arrivals> arrivals_;
  std::chrono::milliseconds deadline_;
  std::map<int, std::deque<Message>> messages_;  // by sender, in the order sent
};

class MpiMailbox : public Mailbox {
 public:
  MpiMailbox(Engine& engine, std::shared_ptr<Gate> gate, std::chrono::milliseconds deadline);
  int rank() const override { return engine_.rank(); }
  int size() const override { return engine_.size(); }
  void send(int to, Parcel parcel) override;
  std::optional<Received> receive(std::chrono::milliseconds patience) override { return arrivals_->take(patience); }

 private:
  Engine& engine_;
  std::shared_ptr<Arrivals> arrivals_;
  std::chrono::milliseconds deadline_;
};

}  // namespace flux
