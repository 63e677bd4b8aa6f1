#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace flux {

/// The name of the thread that makes every MPI call, by which others see that a rank has come so far.
constexpr const char* kMpiThread = "mpi";

/// The ranks of this job on this host, as /proc shows them: for when MPI cannot say who is missing.
class Siblings {
 public:
  Siblings();

  /// Looks again.
  void look();

  std::vector<int> stopped() const;
  std::vector<int> gone() const;         // those that are known to have been here
  std::vector<int> outside_mpi() const;  // those that never came to MPI_Init
  std::vector<int> others() const;       // those that live, but for this one and for shells that started one

  /// Of those that live and are not stopped, one speaks: the lowest.
  bool this_rank_speaks() const;

  /// Another than this rank has spoken: what it said is what there is to say.
  bool another_spoke() const { return another_spoke_; }

  /// For the others to see, from the main thread; and whether a process shows it.
  static void show_that_this_rank_spoke();
  static bool spoke(int process);

 private:
  struct Process {
    bool stopped = false;
    bool in_mpi = false;
    bool this_program = false;
  };

  void notice(const std::string& process);

  std::string job_;  // what its processes have in common; "." without a launcher
  std::set<int> known_;
  std::map<int, Process> alive_;  // by rank
  bool another_spoke_ = false;
};

}  // namespace flux
