#pragma once

#include <mpi.h>

#include <cstddef>
#include <string_view>
#include <vector>

namespace flux {

/// Bytes on their way to or from one rank. They must stay where they are until it is finished, or MPI is. Only for the
/// engine's thread.
class Transfer {
 public:
  /// Of any number, in chunks: both sides know the size.
  static Transfer sending(MPI_Comm comm, int to, int tag, const void* data, size_t bytes);
  static Transfer receiving(MPI_Comm comm, int from, int tag, void* data, size_t bytes);

  /// In one piece, so that the receiver learns its size from MPI. Up to kLargestMessage.
  static Transfer message(MPI_Comm comm, int to, int tag, std::string_view bytes);

  /// True when a chunk arrived or left since the last call. Throws Aborted when MPI failed or the sizes differ.
  bool progress();
  bool finished() const { return open_ == 0; }
  int peer() const { return peer_; }

 private:
  Transfer(int peer, bool receives) : peer_(peer), receives_(receives) {}
  void send(MPI_Comm comm, int tag, const char* data, int size);

  int peer_;
  bool receives_;
  std::vector<MPI_Request> requests_;
  std::vector<int> sizes_;
  size_t open_ = 0;
};

bool all_finished(const std::vector<Transfer>& transfers);

constexpr size_t kLargestMessage = (size_t{1} << 31) - 1;  // MPI counts with int

/// Throws Aborted with MPI's own words.
void check_mpi(int code, const char* call);
void check_mpi(int code, const char* call, int peer);

}  // namespace flux
