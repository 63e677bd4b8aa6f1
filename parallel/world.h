#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/communicator.h"
#include "parallel/mailbox.h"
#include "parallel/rank/ending.h"

namespace flux {

/// How the tensors of one group travel. `thread` joins ranks of one process, `mpi` stages through host memory,
/// `nccl` moves device memory (ranks of one group must not share a card).
enum class Transport { thread, mpi, nccl };

std::string transport_name(Transport transport);  // "thread", "mpi", "nccl"

struct Deadlines {
  std::chrono::milliseconds collective{60'000};  // one collective, or one message's way
  std::chrono::milliseconds startup{600'000};    // forming groups, while others still load
};

class Departure;

/// All ranks of a job, and what they are made into. One per rank.
class World {
 public:
  virtual ~World() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual Mailbox& mailbox() = 0;

  /// Collective over the world: everybody's string, by rank.
  virtual std::vector<std::string> exchange(const std::string& mine) = 0;

  /// Collective over `ranks` (world ranks, the caller among them; position is the group rank).
  /// Throws Invalid when the transport was not compiled in or cannot join these ranks.
  virtual std::unique_ptr<Communicator> group(const std::vector<int>& ranks, Transport transport,
                                              at::Device device) = 0;

  /// From any thread; the first counts. Ends the job on every rank: `why` is said once for the job, and blocked and
  /// later calls on every rank throw Aborted. Under MPI, and where this rank is the whole job, every process ends with
  /// the exit code within two seconds, whatever its threads do.
  virtual void end(const Ending& ending) noexcept = 0;

  /// end({3, "rank R: why"})
  void abort(std::string_view why) noexcept;

  /// Collective: this rank has nothing more to do with the others. Returns when all have come here; until then a rank
  /// that dies is named. A world that is destroyed without it, and has not ended, ends the job.
  virtual void leave() = 0;
};

/// `ranks` worlds of one process, one for each thread. They never end the process.
std::vector<std::unique_ptr<World>> thread_worlds(int ranks, Deadlines deadlines, Say say = to_stderr);

/// The one rank of a program that no launcher started.
std::unique_ptr<World> lone_world(Deadlines deadlines, Departure& departure);

/// MPI_Init_thread and one progress thread that makes every MPI call; MPI_Finalize when destroyed.
std::unique_ptr<World> mpi_world(Deadlines deadlines, Departure& departure);

/// What the environment says of the launcher (mpirun, srun), without initialising MPI: 1 when there is none.
int launched_ranks();

/// This process among them, 0 when there is no launcher: for what must be said once before MPI is initialised.
int launched_rank();

}  // namespace flux
