#pragma once

#include <list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "parallel/mpi/engine.h"
#include "parallel/mpi/transfer.h"
#include "parallel/rank/ending.h"

namespace flux {

/// 0 ... size - 1.
std::vector<int> all_ranks(int size);

/// Why the job, or one group, ended: passed on from rank to rank, each telling those at distances 1, 2, 4 ... once, so
/// that N ranks cost N log N messages and a few dead ones do not stop it. A job that ended is over within a second:
/// blocked calls have that long to throw and the program to put its files in order, then MPI_Abort ends every process
/// with its exit code.
class Notices : public Activity {
 public:
  Notices(Engine& engine, std::shared_ptr<Gate> gate) : engine_(engine), gate_(std::move(gate)) {}

  /// From any thread. The first ending is the one that is kept; `speaker` says why for the job. Should the speaker be
  /// the one that hangs, the lowest rank that noticed does.
  void end_job(const Ending& ending, int speaker = 0);

  /// From any thread: the ranks (of the world) of the group with this tag.
  void form_group(int tag, const std::vector<int>& ranks);

  /// From any thread: ends one group on its ranks.
  void abort_group(int tag, const std::string& why);

  /// Why the job or the group has ended; empty while it goes on. Under the gate's mutex.
  const std::string& why(int tag) const;

  bool progress() override;
  bool finished() const override { return false; }
  bool ends_the_job() const override;

 private:
  /// What goes ahead of the reason.
  struct Head {
    int tag;  // of the group, or kJob
    int exit_code;
    int speaker;
    int noticed_by;  // the lowest rank that noticed
    bool said;
    int about;  // as Ending
  };
  struct Notice {
    Head head;
    std::string why;
  };
  struct Group {
    std::vector<int> ranks;
    std::string why;  // empty while it goes on
  };
  struct Arriving {
    int from;
    std::string bytes;
    MPI_Request request = MPI_REQUEST_NULL;
  };
  struct Leaving {
    std::string bytes;
    std::vector<Transfer> transfers;
  };

  bool find();
  bool receive();
  bool send();
  void take(const Notice& notice);  // all of these under the gate's mutex
  void know(const Notice& notice);
  void end_group(int tag, const std::string& why);
  void say_in_turn();
  void pass_on(const Notice& notice, const std::vector<int>& ranks);

  Engine& engine_;
  std::shared_ptr<Gate> gate_;
  std::optional<Notice> job_;                                      // under the gate's mutex
  Clock::time_point end_ = Clock::time_point::max();               // of the job, under the gate's mutex
  std::map<int, Group> groups_;                                    // under the gate's mutex
  std::vector<std::pair<std::string, std::vector<int>>> to_send_;  // under the gate's mutex
  std::list<Arriving> arriving_;
  std::list<Leaving> leaving_;
};

}  // namespace flux
