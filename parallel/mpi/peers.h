#pragma once

#include <vector>

#include "parallel/mpi/notices.h"

namespace flux {

/// Notices that another rank of this host has died, before the launcher ends the job, and says which.
class Peers : public Activity {
 public:
  Peers(Engine& engine, Notices& notices);
  ~Peers() override;
  Peers(const Peers&) = delete;
  Peers& operator=(const Peers&) = delete;

  bool progress() override;
  bool finished() const override { return false; }

 private:
  struct Peer {
    int rank;
    int process;  // pidfd
  };

  Engine& engine_;
  Notices& notices_;
  std::vector<Peer> peers_;
  Clock::time_point next_{};
};

}  // namespace flux
