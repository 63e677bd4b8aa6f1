#pragma once

#include <mpi.h>

#include <cstddef>
#include <vector>

namespace flux {

/// Bytes of any number on their way to or from one rank, in chunks that fit MPI's int counts; both sides know the
/// size. Only for the engine's thread.
class Transfer {
 public:
  static Transfer sending(MPI_Comm comm, int to, int tag, const void* data, size_t bytes);
  static Transfer receiving(MPI_Comm comm, int from, int tag, void* data, size_t bytes);

  /// True when a chunk arrived or left since the last call. Throws Aborted when MPI failed or the sizes differ.
  bool progress();
  bool finished() const { return open_ == 0; }
  int peer() const { return peer_; }

  /// Gives a receive up.
  void cancel();

 private:
  explicit Transfer(int peer, bool receives) : peer_(peer), receives_(receives) {}

  int peer_;
  bool receives_;
  std::vector<MPI_Request> requests_;
  std::vector<int> sizes_;
  size_t open_ = 0;
};

/// Throws Aborted with MPI's own words.
void check_mpi(int code, const char* call, int peer);

}  // namespace flux
