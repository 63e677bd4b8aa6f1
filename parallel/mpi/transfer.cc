#include "parallel/mpi/transfer.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "parallel/rank/errors.h"

namespace flux {
namespace {

// Each chunk that arrives keeps the engine awake for the next. Where OpenMPI copies twice (containers, Yama's
// ptrace_scope), a larger one takes longer than the engine polls without a nap.
constexpr size_t kChunk = size_t{512} * 1024;

/// At least one chunk: an empty transfer still tells the other rank that this one has come so far.
void for_chunks(size_t bytes, const std::function<void(size_t offset, int size)>& chunk) {
  size_t offset = 0;
  do {
    const size_t size = std::min(kChunk, bytes - offset);
    chunk(offset, static_cast<int>(size));
    offset += size;
  } while (offset < bytes);
}

}  // namespace

void check_mpi(int code, const char* call, int peer) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw Aborted(fmt::format("{} with rank {}: {}", call, peer, std::string(text, length)));
}

Transfer Transfer::sending(MPI_Comm comm, int to, int tag, const void* data, size_t bytes) {
  Transfer transfer(to, false);
  for_chunks(bytes, [&](size_t offset, int size) {
    transfer.sizes_.push_back(size);
    check_mpi(MPI_Isend(static_cast<const char*>(data) + offset, size, MPI_BYTE, to, tag, comm,
                        &transfer.requests_.emplace_back(MPI_REQUEST_NULL)),
              "MPI_Isend", to);
  });
  transfer.open_ = transfer.requests_.size();
  return transfer;
}

Transfer Transfer::receiving(MPI_Comm comm, int from, int tag, void* data, size_t bytes) {
  Transfer transfer(from, true);
  for_chunks(bytes, [&](size_t offset, int size) {
    transfer.sizes_.push_back(size);
    check_mpi(MPI_Irecv(static_cast<char*>(data) + offset, size, MPI_BYTE, from, tag, comm,
                        &transfer.requests_.emplace_back(MPI_REQUEST_NULL)),
              "MPI_Irecv", from);
  });
  transfer.open_ = transfer.requests_.size();
  return transfer;
}

bool Transfer::progress() {
  if (finished()) return false;
  bool moved = false;
  for (size_t i = 0; i < requests_.size(); ++i) {
    if (requests_[i] == MPI_REQUEST_NULL) continue;
    int done = 0;
    MPI_Status status;
    check_mpi(MPI_Test(&requests_[i], &done, &status), receives_ ? "MPI_Irecv" : "MPI_Isend", peer_);
    if (!done) break;  // chunks go in order
    moved = true;
    --open_;
    int size = sizes_[i];
    if (receives_) MPI_Get_count(&status, MPI_BYTE, &size);
    if (size != sizes_[i])
      throw Aborted(fmt::format("rank {} sent {} bytes where {} were expected", peer_, size, sizes_[i]));
  }
  return moved;
}

void Transfer::cancel() {
  if (!receives_) return;
  for (MPI_Request& request : requests_) {
    if (request == MPI_REQUEST_NULL) continue;
    MPI_Cancel(&request);
    MPI_Request_free(&request);
  }
  open_ = 0;
}

}  // namespace flux
