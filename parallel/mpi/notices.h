#pragma once

#include <list>
#include <map>
#include <string>
#include <vector>

#include "parallel/mpi/engine.h"
#include "parallel/mpi/transfer.h"
#include "parallel/rank/ending.h"

namespace flux {

/// Why the job, or one group, ended: told to every rank. A job that ended is over within a second: blocked calls have
/// that long to throw and the program to put its files in order, then MPI_Abort ends every process with its exit code.
class Notices : public Activity {
 public:
  Notices(Engine& engine, std::shared_ptr<Gate> gate) : engine_(engine), gate_(std::move(gate)) {}

  /// From any thread. The first reason is the one that is kept; `speaker` prints it for the job. Should the
  /// speaker be the one that hangs, the lowest rank that noticed prints.
  void end_job(const Ending& ending, int speaker = 0);

  /// From any thread: ends one group, known by its tag, on its ranks (world ranks).
  void abort_group(int tag, const std::vector<int>& ranks, const std::string& why);

  /// Why the job or the group has ended; empty while it goes on. Under the gate's mutex.
  const std::string& why(int tag) const;

  bool progress() override;
  bool finished() const override { return false; }

 private:
  struct Letter {
    std::string text;  // "TAG CODE why"
    std::vector<Transfer> transfers;
  };

  bool receive();
  bool post();
  void print();                  // under the gate's mutex
  void tell_everybody(int tag);  // under the gate's mutex
  void tell(const std::string& text, const std::vector<int>& ranks);

  Engine& engine_;
  std::shared_ptr<Gate> gate_;
  std::map<int, std::string> ended_groups_;                        // under the gate's mutex
  std::vector<std::pair<std::string, std::vector<int>>> to_send_;  // under the gate's mutex
  std::list<Letter> letters_;
  Clock::time_point end_ = Clock::time_point::max();
  int exit_code_ = 3;  // under the gate's mutex
  // Under the gate's mutex: the reason is printed once, at once by the speaker, or later by one deputy.
  int speaker_ = 0;
  bool deputy_ = false;  // noticed the reason, and no lower rank did
  bool printed_ = false;
};

}  // namespace flux
