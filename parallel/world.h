#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/communicator.h"
#include "parallel/mailbox.h"

namespace flux {

/// How the tensors of one group travel. `thread` joins ranks of one process, `mpi` stages through host memory,
/// `nccl` moves device memory (ranks of one group must not share a card).
enum class Transport { thread, mpi, nccl };

struct Deadlines {
  std::chrono::milliseconds collective{60'000};  // one collective, or one message's way
  std::chrono::milliseconds startup{600'000};    // forming groups, while others still load
};

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

  /// From any thread: ends the job on every rank. "rank R: why" is printed once for the job, on stderr; blocked and
  /// later calls on every rank throw Aborted. Under MPI all processes end with exit code 3 within a second or two, at
  /// the latest when the world is destroyed, which does not return then.
  virtual void abort(std::string_view why) noexcept = 0;

  /// The job is being ended: from now on a rank that ends is not taken for one that died.
  virtual void others_may_end() noexcept = 0;
};

/// `ranks` worlds of one process, one for each thread; a program started without mpirun takes thread_worlds(1).
std::vector<std::unique_ptr<World>> thread_worlds(int ranks, Deadlines deadlines);

/// MPI_Init_thread and one progress thread that makes every MPI call; MPI_Finalize when destroyed.
std::unique_ptr<World> mpi_world(Deadlines deadlines);

/// What the environment says of the launcher (mpirun, srun), without initialising MPI: 1 when there is none.
int launched_ranks();

/// This process among them, 0 when there is no launcher: for what must be said once before MPI is initialised.
int launched_rank();

}  // namespace flux
